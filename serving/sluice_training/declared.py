"""What a class says of itself, checked before hours of training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

from pydantic import ValidationError

from sluice.contract import Clock, FeatureReferences, Variable
from sluice.manifest import Card, Manifest, explain
from sluice.model import Model
from sluice_training.errors import TrainingError
from sluice_training.rows import targets_of
from sluice_training.searching import defaults

CARD = ("description", "intendedUse", "license", "limitations", "owner")
"""What a class says on its card; all else is measured."""

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
    _check_several(kind)
    targets_of(kind)
    _check_card(kind)
    if not isinstance(kind.parameters, Mapping):
        raise TrainingError(f"{kind.__name__}.parameters is {kind.parameters!r}; write parameters = {{NAME: [VALUES]}}")
    defaults(kind.parameters)
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


def check_searched(kind: type[Model], candidates: int) -> None:
    """Whether there is something to search, where `candidates` are to be tried.

    Raises:
        TrainingError: there is not.
    """
    if candidates and not kind.parameters:
        raise TrainingError(f"{kind.__name__} has no parameters to search; set parameters = {{NAME: [VALUES]}}")


def _check_several(kind: type[Model]) -> None:
    for role in ("inputs", "slices", "groups", "variables"):
        said = getattr(kind, role)
        if isinstance(said, str):
            raise TrainingError(f"{kind.__name__}.{role} is one text, and must be several: {role} = ({said!r},)")
        if not isinstance(said, Collection) and not (role == "inputs" and said is None):
            raise TrainingError(f"{kind.__name__}.{role} is {said!r}, and must be several: {role} = (...,)")


def _check_card(kind: type[Model]) -> None:
    if not isinstance(kind.card, Mapping):
        raise TrainingError(f'{kind.__name__}.card is {kind.card!r}; write card = {{"owner": "..."}}')
    if unknown := sorted(map(str, {*kind.card} - {*CARD})):
        raise TrainingError(f"card[{unknown[0]!r}] is not for {kind.__name__} to say; it may say {', '.join(CARD)}")
    try:
        Card.model_validate(dict(kind.card))
    except ValidationError as error:
        raise TrainingError(f"the card of {kind.__name__}: {explain(error)}") from error


def _check_called(kind: type[Model]) -> None:
    for role in ("name", "version"):
        if not isinstance(said := getattr(kind, role), str):
            wanted = said if isinstance(said, Real) else "..."
            raise TrainingError(f'{kind.__name__}.{role} is {said!r}, and must be text: write {role} = "{wanted}"')
    try:
        Manifest(name=kind.name, version=kind.version, inputs=(), outputs=())
    except ValidationError as error:
        for role in ("name", "version"):
            if any(item["loc"] == (role,) for item in error.errors()):
                raise TrainingError(f"{getattr(kind, role)!r} is no {role} of a model; it has {_LABEL}") from error
