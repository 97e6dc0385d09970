"""What a class says of itself, checked before hours of training."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sluice.contract import Clock, FeatureReferences, Variable
from sluice.manifest import Manifest
from sluice.model import Model
from sluice_training.errors import TrainingError

_LABEL = "letters, digits, '.', '_' and '-', the first a letter or digit"


def check_declared(kind: Any) -> None:
    """Whether this is a model's class, and its attributes are of their kinds.

    Raises:
        TrainingError: naming the first that is not, and how to write it.
    """
    if not isinstance(kind, type) or not issubclass(kind, Model):
        raise TrainingError(f"{kind!r} is no subclass of sluice.Model")
    if not kind.name:
        raise TrainingError(f'{kind.__name__} says no name; set it in the class: name = "..."')
    _check_called(kind)
    for role in ("inputs", "slices", "groups", "variables"):
        if isinstance(said := getattr(kind, role), str):
            raise TrainingError(f"{kind.__name__}.{role} is one text, and must be several: {role} = ({said!r},)")
    if wrong := [said for said in kind.variables if not isinstance(said, Variable)]:
        raise TrainingError(f"{kind.__name__}.variables holds {wrong[0]!r}; write sluice.contract.Variable(name=...)")
    if kind.clock is not None and not isinstance(kind.clock, Clock):
        raise TrainingError(f"{kind.__name__}.clock is {kind.clock!r}; write sluice.contract.Clock(input=...)")


def checked_features(kind: type[Model], said: Any) -> FeatureReferences | None:
    """What `features` returned.

    Raises:
        TrainingError: it is something else.
    """
    if said is None or isinstance(said, FeatureReferences):
        return said
    raise TrainingError(
        f"{kind.__name__}.features returned {type(said).__name__}; return FeatureReferences of sluice.contract, or None"
    )


def _check_called(kind: type[Model]) -> None:
    try:
        Manifest(name=kind.name, version=kind.version, inputs=(), outputs=())
    except ValidationError as error:
        for role in ("name", "version"):
            if any(item["loc"] == (role,) for item in error.errors()):
                raise TrainingError(f"{getattr(kind, role)!r} is no {role} of a model; it has {_LABEL}") from error
