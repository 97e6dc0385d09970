"""From a class and its data to a package that says what is true of the model in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sluice.contract import Entity, Feature, FeatureReferences, OnViolation
from sluice.failures import PackageError
from sluice.model import Model, table
from sluice.package import opened
from sluice.statistics import Categorical, Numeric, load_statistics
from sluice_training import train
from sluice_training.errors import TrainingError
from sluice_training.trained import Trained
from unit.training.shops import Aged, Coded, Good, Revenue, shops, unchecked

DATA = shops()
HASHED = "numpy==2.4.6 --hash=sha256:" + "0" * 64 + "\n"


@pytest.fixture(scope="module")
def revenue() -> Trained:
    return train(Revenue, DATA, keys=["shop"], search=4, seed=3)


def test_the_package_holds_all_that_is_known_of_the_model(revenue: Trained, tmp_path: Path) -> None:
    revenue.write(tmp_path / "revenue-1.tar.gz", unchecked)
    with opened(tmp_path / "revenue-1.tar.gz") as package:
        manifest = package.manifest
        assert sorted(path.name for path in package.folder.iterdir()) == [
            "README.md", "model.onnx", "model.yaml", "sample.json", "statistics.json",
        ]  # fmt: skip
        statistics = load_statistics(package.folder / "statistics.json")
        readme = (package.folder / "README.md").read_text()
        sample = json.loads((package.folder / "sample.json").read_text())
    assert [(spec.name, spec.datatype) for spec in manifest.inputs] == [
        ("size", "FP64"), ("staff", "FP64"), ("city", "BYTES"), ("open", "BOOL"),
    ]  # fmt: skip
    assert manifest.training is not None
    assert manifest.training.seed == 3
    assert set(manifest.training.parameters) == {"alpha", "fit_intercept"}
    assert {"python", "sluice-serving", "numpy", "scikit-learn"} <= set(manifest.training.libraries)
    assert isinstance(statistics.variables["size"], Numeric)
    assert isinstance(statistics.variables["city"], Categorical)
    assert statistics.outputs["revenue"].count == statistics.rows
    assert "## How well it does" in readme
    assert {tensor["name"] for tensor in sample["inputs"]} == {"size", "staff", "city", "open"}
    assert None in next(tensor["data"] for tensor in sample["inputs"] if tensor["name"] == "staff")


def test_the_card_tells_how_well_it_does_for_whom_and_by_what(revenue: Trained) -> None:
    card = revenue.card
    assert card.owner == "retail"
    assert card.metrics is not None
    assert card.metrics["mae"] < card.metrics["baseline_mae"] / 10
    assert {piece.by for piece in card.slices or ()} == {"city", "size"}
    assert {fair.metric for fair in card.fairness or ()} == {"mean_prediction", "mean_error", "mae"}
    assert card.importance is not None
    assert card.importance[0].variable == "size"
    assert sum(item.share for item in card.importance) == pytest.approx(1, abs=1e-5)
    assert "by a hash of shop" in (card.data or "")
    assert "<table>" in revenue._repr_html_()


def test_a_search_compares_seeded_candidates_and_takes_the_best(revenue: Trained) -> None:
    searched = revenue.searched
    assert searched is not None
    assert (len(searched.candidates), searched.of) == (4, 6)
    assert revenue.training.parameters == searched.winner.parameters
    assert searched.winner.loss == min(candidate.loss for candidate in searched.candidates)


def test_training_again_gives_the_same_digest_and_another_seed_another(revenue: Trained, tmp_path: Path) -> None:
    again = train(Revenue, DATA, keys=["shop"], search=4, seed=3)
    other = train(Revenue, DATA, keys=["shop"], search=4, seed=4)
    digests = [one.write(tmp_path / str(place), unchecked) for place, one in enumerate((revenue, again, other))]
    assert digests[0] == digests[1] != digests[2]


def test_requests_may_say_what_training_data_show(revenue: Trained) -> None:
    found = {variable.name: variable for variable in revenue.variables}
    size, staff = found["size"], found["staff"]
    known = np.array(DATA.column("size"))
    assert size.minimum == 0
    assert size.maximum == pytest.approx(2 * known.max() - known.min(), rel=1e-5)
    assert (size.nullable, staff.nullable) == (False, True)
    assert found["city"].categories == ("Assen", "Utrecht", "Zwolle")
    assert "open" not in found


def test_a_classifier_answers_with_labels_and_probabilities(tmp_path: Path) -> None:
    trained = train(Good, DATA)
    assert [spec.name for spec in trained.outputs] == ["good", "probabilities"]
    assert trained.metrics["accuracy"] > trained.metrics["baseline_accuracy"]
    assert {fair.metric for fair in trained.card.fairness or ()} == {"error_rate", "positive_rate"}
    trained.write(tmp_path / "good", unchecked)


def test_python_around_the_graph_travels_with_its_state_and_the_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text(HASHED)
    trained = train(Coded, DATA, lock=tmp_path / "requirements.lock")
    trained.write(tmp_path / "coded")
    files = {path.name for path in (tmp_path / "coded/code").iterdir()}
    assert {"state.npz", "state.json", "requirements.lock"} <= files
    assert [spec.name for spec in trained.inputs] == ["size", "staff", "city", "open"]
    assert trained.metrics["r2"] > 0.5
    restored = Coded()
    restored.restore(tmp_path / "coded/code")
    assert restored.state["staff"] == trained.model.state["staff"]
    assert restored.state["edges"].tolist() == [0, 1, 2]


def test_a_package_that_does_not_answer_as_it_was_measured_is_not_written(tmp_path: Path) -> None:
    trained = train(Revenue, DATA)
    recorded = json.loads(trained.sample)
    recorded["outputs"][0]["data"][0] *= 2
    with pytest.raises(PackageError, match="output 'revenue', row 0"):
        replace(trained, sample=json.dumps(recorded)).write(tmp_path / "revenue")
    assert not (tmp_path / "revenue").exists()


def test_python_to_be_served_needs_a_lock(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"overrides preprocess or postprocess.*--lock"):
        train(Coded, DATA).write(tmp_path / "coded")
    assert not (tmp_path / "coded").exists()


def test_a_warm_start_has_what_was_fitted_before(tmp_path: Path) -> None:
    first = train(Revenue, DATA)
    digest = first.write(tmp_path / "first", unchecked)
    second = train(Revenue, DATA, previous=tmp_path / "first")
    assert (first.model.state["rounds"], second.model.state["rounds"]) == (1, 2)
    assert second.training.previous == digest
    assert second.write(tmp_path / "second", unchecked) != digest


def aged() -> pa.Table:
    opened = pa.array(np.linspace(0, 1e9, DATA.num_rows))
    at = pa.array((np.linspace(1.5e9, 1.6e9, DATA.num_rows) * 1e6).astype("int64"), pa.timestamp("us", "UTC"))
    return DATA.append_column("opened", opened).append_column("at", at)


def test_the_clock_is_the_rows_time_and_declarations_stand_beside_what_is_shown() -> None:
    trained = train(Aged, aged(), timestamp="at")
    assert trained.model.clock is not None
    assert [spec.name for spec in trained.inputs] == ["size", "staff", "opened", "now"]
    found = {variable.name: variable for variable in trained.variables}
    assert "now" not in found
    assert (found["size"].unit, found["size"].minimum) == ("m2", 0)
    assert (found["staff"].on_violation, found["staff"].impute, found["staff"].maximum) == (OnViolation.IMPUTE, 5.0, 15)
    assert "the latest by at" in (trained.card.data or "")


class Fed(Revenue):
    """Features fill an input."""

    def features(self) -> FeatureReferences:
        return FeatureReferences(
            service="shops", entities=(Entity(name="shop"),), features=(Feature(name="size", default=100.0),)
        )


def test_rows_are_split_by_the_entities_of_the_features(tmp_path: Path) -> None:
    trained = train(Fed, DATA)
    assert "by a hash of shop" in (trained.card.data or "")
    trained.write(tmp_path / "fed", unchecked)
    with opened(tmp_path / "fed") as package:
        assert package.manifest.features == Fed().features()


class Everything(Fed):
    """Inputs are what is neither target nor key."""

    inputs: Sequence[str] | None = None  # type: ignore[assignment]
    slices = ()
    groups = ()

    def train(self, data: Any, target: Any, **_: Any) -> Any:
        from sklearn.linear_model import LinearRegression

        return LinearRegression().fit(table(data), target)


def test_entities_are_no_inputs_whatever_rows_are_split_by() -> None:
    rows = DATA.select(["shop", "size", "revenue"])
    by_entity = train(Everything, rows)
    by_street = train(
        Everything, rows.append_column("street", pa.array(np.arange(DATA.num_rows) // 3)), keys=["street"]
    )
    assert [spec.name for spec in by_entity.inputs] == [spec.name for spec in by_street.inputs] == ["size"]
    assert "by a hash of street" in (by_street.card.data or "")


class Boasting(Revenue):
    card: Mapping[str, str] = {"metrics": "all good"}


class Doubtful(Fed):
    def features(self) -> FeatureReferences:
        (feature,) = super().features().features
        return super().features().model_copy(update={"features": (feature.model_copy(update={"default": 1e9}),)})


class Ready(Revenue):
    """A graph of one's own, in 32 bits."""

    inputs = ("size", "staff")

    def train(self, data: Any, target: Any, **_: Any) -> Any:
        return onnx.parser.parse_model(
            """<ir_version: 8, opset_import: ["" : 18]>
            g (float[N, 1] size, float[N, 1] staff) => (float[N, 1] revenue) <float[1] times = {1000.0}>
            { revenue = Mul(size, times) unused = Identity(staff) }"""
        )


class Both(Revenue):
    """Two targets at once."""

    target: str | Sequence[str] = ("revenue", "staff")
    inputs = ("size",)

    def train(self, data: Any, target: Any, **_: Any) -> Any:
        from sklearn.linear_model import LinearRegression

        return LinearRegression().fit(table(data), target)


def test_a_graph_of_ones_own_is_served_as_it_is(tmp_path: Path) -> None:
    trained = train(Ready, DATA)
    assert [(spec.name, spec.datatype) for spec in trained.inputs] == [("size", "FP32"), ("staff", "FP32")]
    assert trained.metrics["r2"] > 0.9
    trained.write(tmp_path / "ready", unchecked)


def test_several_targets_are_answered_side_by_side(tmp_path: Path) -> None:
    complete = DATA.filter(pc.is_valid(DATA.column("staff")))
    trained = train(Both, complete)
    assert [(spec.name, spec.shape) for spec in trained.outputs] == [("prediction", (-1, 2))]
    trained.write(tmp_path / "both", unchecked)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Boasting, r"card\['metrics'\] is not for Boasting to say"),
        (Doubtful, "the default of feature 'size', 1000000000.0"),
    ],
)
def test_what_is_said_beside_the_data_is_checked(kind: type[Model], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(kind, DATA)


def test_a_search_needs_parameters() -> None:
    with pytest.raises(TrainingError, match="has no parameters to search"):
        train(Good, DATA, search=3)


def test_rows_without_a_target_are_refused() -> None:
    unknown = DATA.set_column(5, "revenue", pa.array([None, *DATA.column("revenue").to_pylist()[1:]]))
    with pytest.raises(TrainingError, match="1 rows have no 'revenue'"):
        train(Revenue, unknown)
