"""What becomes of features that are missing, too old, or not to be had: every case of the table in docs/features.md."""

import itertools
import math
from typing import Any, Literal

import numpy as np
import pytest

from sluice.config import FeatureLookup
from sluice.contract import Entity, Feature, FeatureReferences, Value
from sluice.failures import PackageError
from sluice.manifest import Datatype
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.features.client import StoreError, Trouble
from sluice_runtime.features.conversion import Unusable
from sluice_runtime.features.policy import Fetched, Policy
from sluice_runtime.features.rows import Key, Row

KEY = (42,)
AWAY = StoreError(Trouble.TIMEOUT, "the feature store did not answer within 1 s", away=True)
FINE = Row((1.5,), (math.inf,), math.inf, known=True, held=(True,))
ROWS: dict[str, Row | StoreError] = {
    "fine": FINE,
    "null": Row((None,), (math.inf,), -math.inf, known=True, held=(True,)),
    "old null": Row((None,), (99.0,), -math.inf, known=True, held=(True,)),
    "unknown": Row((None,), (-math.inf,), -math.inf, known=False, held=(False,)),
    "elsewhere": Row((None,), (math.inf,), -math.inf, known=True, held=(False,)),
    "stale": Row((1.5,), (99.0,), 99.0, known=True, held=(True,)),
    "unusable": Row((Unusable("is a text"),), (math.inf,), -math.inf, known=True, held=(True,)),
    "outage": AWAY,
    "crowded": StoreError(Trouble.CROWDED, "too many requests wait for the feature store"),
}
NO_ANSWER = ("outage", "crowded")
Setting = Literal["Fail", "Default"]


def policy(
    missing: Setting = "Fail",
    outage: Setting = "Fail",
    default: Value | None = None,
    nullable: bool = False,
    datatype: Datatype = Datatype.FP32,
) -> Policy:
    references = FeatureReferences(
        service="s", entities=(Entity(name="store_id"),), features=(Feature(name="size", default=default),)
    )
    lookup = FeatureLookup(url="http://store", on_missing=missing, on_outage=outage)
    kept = {"size"} if nullable else set()
    return Policy(lookup, references, {"size": datatype}, kept, lambda feature, reason, rows: None)


def decided(chosen: Policy, row: Row | StoreError) -> Fetched | RequestError:
    try:
        return chosen.fetched([KEY], {KEY: row}, {"size": None}, 100.0)
    except RequestError as error:
        return error


@pytest.mark.parametrize("case", [case for case in ROWS if case != "fine"])
@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("default", [None, 7.0])
@pytest.mark.parametrize(("missing", "outage"), list(itertools.product(("Fail", "Default"), repeat=2)))
def test_nothing_is_made_up_in_silence(
    case: str, nullable: bool, default: float | None, missing: Setting, outage: Setting
) -> None:
    found = decided(policy(missing, outage, default, nullable), ROWS[case])
    reason = {"null": "missing", "unknown": "missing", "elsewhere": "missing"}.get(case, case)
    if case == "old null":
        # A model that takes no nulls has no use for it at any age.
        reason = "stale" if nullable else "missing"
    defaulting = case != "unusable" and (outage if case in NO_ANSWER else missing) == "Default"
    if defaulting and default is not None:
        assert isinstance(found, Fetched)
        assert found.values["size"].tolist() == [7.0]
        assert found.notes == (f"size=default({reason}:1)",)
    elif case == "null" and nullable:
        # As in training: the entity is there, and this is its value.
        assert isinstance(found, Fetched)
        assert np.isnan(found.values["size"]).all()
        assert found.notes == ()
    elif defaulting and nullable:
        assert isinstance(found, Fetched)
        assert np.isnan(found.values["size"]).all()
        assert found.notes == (f"size=missing({reason}:1)",)
    else:
        assert isinstance(found, RequestError)
        unknown = case == "unknown" and missing == "Fail"
        assert found.kind is (Kind.UNKNOWN if unknown else Kind.STORE if case in NO_ANSWER else Kind.FEATURES)
        assert "42" in found.message or case in NO_ANSWER


def test_a_request_of_several_rows_is_decided_row_by_row_and_told_once() -> None:
    rows: dict[Key, Any] = {(1,): FINE, (2,): ROWS["stale"], (3,): ROWS["null"], (4,): AWAY}
    found = policy("Default", "Default", 7.0).fetched([(2,), (1,), (3,), (4,), (2,)], rows, {"size": None}, 100.0)
    assert found.values["size"].tolist() == [7.0, 1.5, 7.0, 7.0, 7.0]
    assert found.notes == ("size=default(missing:1)", "size=default(outage:1)", "size=default(stale:2)")


def test_a_null_in_a_whole_number_is_missing_whatever_the_contract_says() -> None:
    found = decided(policy(nullable=True, datatype=Datatype.INT64), ROWS["null"])
    assert isinstance(found, RequestError)


@pytest.mark.parametrize(
    ("default", "datatype"), [("large", Datatype.FP32), (2.5, Datatype.INT64), (300, Datatype.UINT8)]
)
def test_a_default_that_its_input_cannot_hold_is_refused_with_the_package(default: Value, datatype: Datatype) -> None:
    with pytest.raises(PackageError, match="the default of feature 'size'"):
        policy(default=default, datatype=datatype)


def test_the_notes_of_very_many_features_are_bounded() -> None:
    names = [f"feature {number}" for number in range(100)]
    references = FeatureReferences(
        service="s",
        entities=(Entity(name="store_id"),),
        features=tuple(Feature(name=name, default=1.0) for name in names),
    )
    lookup = FeatureLookup(url="http://store", on_outage="Default")
    many = Policy(lookup, references, dict.fromkeys(names, Datatype.FP32), (), lambda feature, reason, rows: None)
    notes = many.fetched([KEY], {KEY: AWAY}, dict.fromkeys(names), 0.0).notes
    assert len(notes) == 33
    assert notes[-1] == "and 68 more"
