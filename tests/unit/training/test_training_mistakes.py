"""What is wrong with a class is told before anything is written, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sluice.contract import Entity, Feature, FeatureReferences, Variable
from sluice.model import Model
from sluice_training import train
from sluice_training.errors import TrainingError
from unit.training.shops import Aged, Coded, Revenue, shops

DATA = shops()


class Unnamed(Revenue):
    name = ""


class Targetless(Revenue):
    target = ""


class Wrong(Revenue):
    target = "profit"


class Leaking(Revenue):
    inputs = ("size", "revenue")


class Broken(Revenue):
    def train(self, data: Any, target: Any, **_: Any) -> Any:
        return 1 / 0


class Unencoded(Revenue):
    def train(self, data: Any, target: Any, **_: Any) -> Any:
        from sklearn.linear_model import Ridge

        from sluice.model import table

        return Ridge().fit(table(data), target)


class Nothing(Revenue):
    def train(self, data: Any, target: Any, **_: Any) -> Any:
        return None


class Mixing(Revenue):
    """A row's answer depends on the others."""

    def preprocess(self, inputs: Any) -> Any:
        return {**inputs, "size": inputs["size"] - inputs["size"].mean()}


class Shortening(Revenue):
    def preprocess(self, inputs: Any) -> Any:
        return {name: values[1:] for name, values in inputs.items()}


class Surprised(Coded):
    """It knows no value but those of the rows that it was fitted to."""

    def preprocess(self, inputs: Any) -> Any:
        places = {size: place for place, size in enumerate(self.state["sizes"])}
        return {"place": np.array([float(places[size]) for size in inputs["size"]])}

    def prepare(self, inputs: Any) -> None:
        self.state = {"sizes": inputs["size"].tolist()}


class Numbered(Coded):
    """Its state is not what it was, once it was JSON."""

    def prepare(self, inputs: Any) -> None:
        self.state = {"sizes": {7: 1.0}}

    def preprocess(self, inputs: Any) -> Any:
        return {"place": inputs["size"] * self.state["sizes"][7]}


class Forgetting(Coded):
    """What it has learned is not in its state."""

    def prepare(self, inputs: Any) -> None:
        self.mean = float(inputs["size"].mean())

    def preprocess(self, inputs: Any) -> Any:
        return {"place": inputs["size"] - self.mean}


class Hoarding(Coded):
    """Its state is nothing that a package keeps."""

    def prepare(self, inputs: Any) -> None:
        super().prepare(inputs)
        self.state["cities"] = {*self.state["cities"]}

    def preprocess(self, inputs: Any) -> Any:
        return {"place": inputs["size"]}


class Startled(Coded):
    """Its answer is a division by zero."""

    def postprocess(self, outputs: Any) -> Any:
        return {"revenue": outputs["revenue"] * (1 // 0)}


class Spaced(Revenue):
    name = "our revenue"


class Versionless(Revenue):
    version = ""


class OneInput(Revenue):
    inputs = "size"


class Described(Revenue):
    variables: Any = ({"name": "size"},)


class Timed(Revenue):
    clock: Any = "now"


class Listed(Revenue):
    def features(self) -> Any:
        return ["size"]


class Extreme(Revenue):
    """A default that no request may say."""

    def features(self) -> FeatureReferences:
        size = Feature(name="size", default=-1.0)
        return FeatureReferences(service="shops", entities=(Entity(name="shop"),), features=(size,))


class OneValue(Revenue):
    parameters: Mapping[str, Any] = {"alpha": 1.0}


class Narrow(Revenue):
    variables = (Variable(name="size", maximum=1.0),)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Unnamed, 'says no name; set it in the class: name = "..."'),
        (Spaced, "'our revenue' is no name of a model; it has letters, digits"),
        (Versionless, "'' is no version of a model"),
        (OneInput, r"OneInput.inputs is one text, and must be several: inputs = \('size',\)"),
        (Described, r"Described.variables holds {'name': 'size'}; write sluice.contract.Variable\(name=...\)"),
        (Timed, r"Timed.clock is 'now'; write sluice.contract.Clock"),
        (Listed, "Listed.features returned list; return FeatureReferences"),
        (Extreme, r"feature 'size', -1.0, is not what 'size' may be \(at least 0.0, at most \d+[.\d]*\); correct it"),
        (OneValue, r"parameters\['alpha'\] must be a list of values to choose among, not 1.0"),
        (Targetless, "says no target"),
        (Wrong, "the data has no column 'profit', which is to be target; it has shop, size"),
        (Leaking, "'revenue' is the target and an input"),
        (Broken, r"Broken.train failed in test_training_mistakes.py, line \d+: ZeroDivisionError"),
        (Unencoded, "a column of text needs an encoder"),
        (Nothing, "returned NoneType; return a fitted scikit-learn estimator"),
        (Mixing, "no row may depend on another"),
        (Shortening, "it must keep the rows as they are"),
        (Surprised, r"Surprised.preprocess failed in test_training_mistakes.py, line \d+: KeyError"),
        (Numbered, r"Numbered.preprocess failed in test_training_mistakes.py, line \d+: KeyError: 7"),
        (Forgetting, r"Forgetting.preprocess failed in test_training_mistakes.py, line \d+: AttributeError: .* 'mean'"),
        (Hoarding, "state holds what is neither an array nor JSON"),
        (Startled, r"Startled.postprocess failed in test_training_mistakes.py, line \d+: ZeroDivisionError"),
        (Narrow, "violate what is declared of 'size', the first of them row 0 with [0-9.]+;"),
        (Model, "says no name"),
        (Aged, "the clock fills 'now': say with --timestamp|no column 'opened'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(kind: type[Model], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as refused:
        train(kind, DATA)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("role", "said", "message"),
    [
        ("card", {"owner": 5}, "the card of Revenue: owner: Input should be a valid string"),
        ("card", {"colour": "red"}, r"card\['colour'\] is not for Revenue to say; it may say description, intendedUse"),
        ("card", {"metrics": {}}, r"card\['metrics'\] is not for Revenue to say"),
        ("card", None, r'Revenue.card is None; write card = {"owner": "..."}'),
        ("parameters", None, r"Revenue.parameters is None; write parameters = {NAME: \[VALUES\]}"),
        ("parameters", {"alpha": ()}, r"parameters\['alpha'\] must be a list of values to choose among"),
        ("variables", None, r"Revenue.variables is None, and must be several: variables = \(...,\)"),
        ("slices", None, "Revenue.slices is None, and must be several"),
        ("groups", 5, "Revenue.groups is 5, and must be several"),
        ("inputs", 5, "Revenue.inputs is 5, and must be several"),
        ("target", None, "Revenue says no target; set it in the class"),
        ("target", 5, "Revenue says no target; set it in the class"),
        ("version", 2, 'Revenue.version is 2, and must be text: write version = "2"'),
        ("version", None, 'Revenue.version is None, and must be text: write version = "..."'),
        ("name", 7, 'Revenue.name is 7, and must be text: write name = "7"'),
    ],
)
def test_what_a_class_says_is_looked_at_before_its_data(role: str, said: Any, message: str) -> None:
    kind = type("Revenue", (Revenue,), {role: said})
    with pytest.raises(TrainingError, match=message) as refused:
        train(kind, "absent.csv")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1; it must be a whole number, and not negative"),
        ({"seed": "7"}, "seed is '7'; it must be a whole number"),
        ({"seed": None}, "seed is None; it must be a whole number"),
        ({"search": -3}, "search is -3; it must be a whole number, and not negative"),
        ({"search": 2.5}, "search is 2.5; it must be a whole number"),
        ({"test_share": 1}, "the test share is 1; it must lie between 0 and 1"),
        ({"keys": "shopp"}, "no column 'shopp', which is to be key"),
    ],
)
def test_so_is_what_is_wrong_with_how_to_train(options: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(Revenue, DATA, **options)
