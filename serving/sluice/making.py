"""`sluice package`: from files that people write to the parts of a package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sluice.contract import Clock, FeatureReferences, Variable
from sluice.manifest import Card, Sample, explain
from sluice.parts import Code, Parts
from sluice.statistics import load_statistics

_Form = TypeVar("_Form", bound=BaseModel)


class Contract(BaseModel):
    """The file of `--contract`: what the values of variables may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variables: tuple[Variable, ...]


def chosen_card(chosen: argparse.Namespace) -> Card | None:
    """The card of `--card`, with what single options say in its place.

    Raises:
        ValueError: the file cannot be read as one.
    """
    said = {key: text for key in ("description", "owner", "license") if (text := getattr(chosen, key)) is not None}
    card = _read(chosen.card, Card) if chosen.card else None
    if card is None:
        return Card(**said) if said else None
    return card.model_copy(update=Card(**said).model_dump(exclude_unset=True))


def chosen_parts(chosen: argparse.Namespace) -> Parts:
    """The parts that options name.

    Raises:
        ValueError: options that belong together, or a file that does not have its form.
    """
    return Parts(
        variables=_read(chosen.contract, Contract).variables if chosen.contract else (),
        features=_read(chosen.features, FeatureReferences) if chosen.features else None,
        clock=Clock(input=chosen.clock, from_request=chosen.clock_from_request) if chosen.clock else None,
        sample=chosen.sample,
        tolerance=Sample() if chosen.tolerance is None else Sample(relative=chosen.tolerance),
        statistics=_statistics(chosen.statistics),
        code=_code(chosen.code, chosen.entrypoint, chosen.lock),
    )


def _statistics(path: Path | None) -> Path | None:
    """The file, once it is known to be what it is taken for."""
    if path is not None:
        try:
            load_statistics(path)
        except ValidationError as error:
            raise ValueError(f"{path.name}: {explain(error)}") from error
    return path


def _code(folder: Path | None, entrypoint: str | None, lock: Path | None) -> Code | None:
    if folder is None and entrypoint is None and lock is None:
        return None
    if folder is None or entrypoint is None or lock is None:
        raise ValueError("--code, --entrypoint and --lock belong together: the folder, MODULE:CLASS, pinned libraries")
    return Code(folder, entrypoint, lock)


def _read(path: Path, form: type[_Form]) -> _Form:
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    return form.model_validate(document)
