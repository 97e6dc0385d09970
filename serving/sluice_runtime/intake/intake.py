"""From what a request carries to what the model is asked with: keys -> clock -> features -> contract.

It is done in two steps, because a store may take its time in between: `draft` finds out what is missing, `complete`
fills it in and holds everything against the contract.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from sluice.contract import Entity, FeatureReferences
from sluice.manifest import Datatype, Manifest, TensorSpec
from sluice_runtime.errors import Kind, RequestError
from sluice_runtime.examples import made_up
from sluice_runtime.intake.contract import Contract, Count, Findings
from sluice_runtime.intake.places import Filled, Gap, filled_in, filled_inputs
from sluice_runtime.intake.rules import is_optional, refused
from sluice_runtime.intake.values import Mask
from sluice_runtime.signature import Requests, Signature, Tensor, Tensors, fits

_LONGEST_NOTES = 2048
"""Bytes of all notes of an answer together: they travel in a header."""


class Fetched(Protocol):
    """What a feature store has said: values by the feature's name, one a row, and what to tell the caller of them."""

    @property
    def values(self) -> Mapping[str, NDArray[np.generic]]:
        """By the feature's name, one a row."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What to tell the caller."""
        ...


@dataclass(slots=True)
class Draft:
    """A request's inputs as far as they are known. `asked`: what only the store can say. `absent`: still to be made.

    `now`: the time of the request, in seconds since 1970.
    """

    tensors: dict[str, Tensor]
    rows: int
    findings: Findings
    now: float
    gaps: list[Gap] = field(default_factory=list)
    absent: list[Filled] = field(default_factory=list)
    entities: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def asked(self) -> Mapping[str, Mask | None]:
        """Names of the features that are needed, and in which rows; None: in all."""
        return {gap.feature: gap.rows for gap in self.gaps}


class Expected(NamedTuple):
    """Whether an input must be there, whether it is a key and no input of the model, and whether it has rows."""

    needed: bool
    key_alone: bool
    by_row: bool


class Intake:
    """What is done with the requests of one model. `now` gives the time of a request, in seconds since 1970.

    `features`: None where no store is set; requests then carry those inputs themselves.

    Raises:
        PackageError: InvalidPackage, where model.yaml contradicts itself.
    """

    def __init__(
        self,
        manifest: Manifest,
        signature: Signature,
        features: FeatureReferences | None,
        count: Count,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._signature = signature
        self._count = count
        self._now = now
        self._contract = Contract(manifest.variables, signature.inputs)
        wanted = features.features if features is not None else ()
        self._filled = filled_inputs(signature.inputs, wanted, manifest.clock, self._contract.rules)
        references = features or manifest.features
        self._entities = references.entities if references is not None else ()
        self._keyed = frozenset(entity.tensor for entity in self._entities)
        self._storeless = features is None and manifest.features is not None
        self.requests = self._requests()
        self._expected = [(spec.name, spec.shape, self._expect(spec)) for spec in self.requests.inputs]
        self._keys_alone = self._keyed - signature.inputs_by_name.keys()
        fixed = (filled.fixed_rows for filled in self._filled.values())
        self._fixed = {rows for rows in fixed if rows is not None}

    def nullable(self) -> list[str]:
        """Features that may be missing: the model takes them so, or the contract says what becomes of it."""
        lenient = {rule.place for rule in self._contract.rules if is_optional(rule)}
        gaps = [gap for filled in self._filled.values() for gap in filled.gaps()]
        return [gap.feature for gap in gaps if (gap.tensor, gap.column) in lenient or (gap.tensor, None) in lenient]

    def example(self) -> dict[str, Tensor]:
        """A request of one row that the contract takes, with made-up keys: nothing in it that could be left out."""
        wanted = [spec for spec in self.requests.inputs if spec.name not in self.requests.optional]
        values = made_up(wanted, rows=1)
        for rule in self._contract.rules:
            if rule.spec.name in values:
                tensor = values[rule.spec.name]
                (tensor if rule.column is None else tensor[:, rule.column])[...] = rule.example
        return values

    def draft(self, given: Tensors) -> Draft:
        """Check what came and find out what is missing.

        Raises:
            RequestError: INVALID, naming the input.
        """
        rows = self._check(given)
        tensors = {name: tensor for name, tensor in given.items() if name not in self._keys_alone}
        draft = Draft(tensors, rows, Findings(self._count), self._now() if self._filled else 0.0)
        for filled in self._filled.values():
            self._fill(draft, filled)
        if draft.gaps:
            draft.entities = self._keys(given, draft)
        return draft

    def complete(self, draft: Draft, fetched: Fetched | None) -> tuple[Tensors, str]:
        """The model's inputs, and what to tell the caller beside the prediction.

        Raises:
            RequestError: INVALID or FEATURES, naming what breaks the contract.
        """
        notes: list[str] = []
        self.furnish(draft)
        if fetched is not None:
            for gap in draft.gaps:
                filled_in(draft.tensors, gap, fetched.values[gap.feature])
            notes += fetched.notes
            draft.findings.stored = {(gap.tensor, gap.column): gap.rows for gap in draft.gaps}
        self._contract.settle(draft.tensors, draft.findings)
        notes += draft.findings.told()
        return draft.tensors, _written(notes)

    def furnish(self, draft: Draft) -> None:
        """Make the inputs that did not come, without their features: there is time for it while the store is asked."""
        for filled in draft.absent:
            draft.tensors[filled.spec.name] = filled.made(draft.rows, draft.now)
        draft.absent.clear()

    def _fill(self, draft: Draft, filled: Filled) -> None:
        name = filled.spec.name
        tensor = draft.tensors.get(name)
        if tensor is not None:
            draft.tensors[name], gaps = filled.open(tensor, draft.now)
            draft.gaps += gaps
            return
        draft.absent.append(filled)
        if draft.rows:
            draft.gaps += filled.gaps()
            for rule in filled.imputed:
                draft.findings.absent(rule, draft.rows)

    def _check(self, given: Tensors) -> int:
        """The number of rows of tensors that fit."""
        rows = None
        for name, shape, expected in self._expected:
            tensor = given.get(name)
            if tensor is None:
                if expected.needed:
                    more = "; no feature store is set here that could fill it in" if self._storeless else ""
                    raise RequestError(Kind.INVALID, f"input {name!r} is missing{more}")
                continue
            found = tensor.shape
            if not fits(found, shape) and not (expected.key_alone and found[1:] == (1,)):
                message = f"input {name!r} has shape {list(found)}, expected {list(shape)}"
                raise RequestError(Kind.INVALID, message)
            if expected.by_row:
                if rows is not None and rows != found[0]:
                    raise self._uneven(given)
                rows = found[0]
        if self._fixed and rows is not None and self._fixed != {rows}:
            raise RequestError(Kind.INVALID, f"the request has {rows} rows, and the model takes {min(self._fixed)}")
        return 1 if rows is None else rows

    def _uneven(self, given: Tensors) -> RequestError:
        rows = {name: given[name].shape[0] for name, _, expected in self._expected if expected.by_row and name in given}
        return RequestError(Kind.INVALID, f"inputs differ in their number of rows: {rows}")

    def _expect(self, spec: TensorSpec) -> Expected:
        name = spec.name
        by_row = self._signature.batchable or name in self._filled or name in self._keyed
        known = name in self._signature.inputs_by_name
        return Expected(known and name not in self.requests.optional, not known, by_row and bool(spec.shape))

    def _keys(self, given: Tensors, draft: Draft) -> Mapping[str, Tensor]:
        keys: dict[str, Tensor] = {}
        for entity in self._entities:
            tensor = given.get(entity.tensor)
            if tensor is None:
                names = ", ".join([*draft.asked][:3]) + (", ..." if len(draft.asked) > 3 else "")
                message = f"input {entity.tensor!r} is missing, the key by which features are looked up: {names}"
                raise RequestError(Kind.INVALID, message)
            keys[entity.name] = tensor.reshape(-1)
        return keys

    def _requests(self) -> Requests:
        known = self._signature.inputs_by_name
        keys = [_key_spec(entity, self._signature) for entity in self._entities]
        own = [spec for spec in keys if spec.name not in known]
        named = {entity.tensor: entity.name for entity in self._entities}
        optional = {name for name, filled in self._filled.items() if filled.optional}
        parameters: dict[str, dict[str, str | bool]] = {name: {"key": key} for name, key in named.items()}
        for name in optional:
            parameters.setdefault(name, {}).update(_described(self._filled[name]))
        if not any(filled.needs_store for filled in self._filled.values()):
            # Requests may then carry everything themselves.
            optional |= {spec.name for spec in own}
            for spec in own:
                parameters[spec.name]["optional"] = True
        can_be_missing = self._filled.keys() | {rule.spec.name for rule in self._contract.rules}
        return Requests(
            (*own, *self._signature.inputs), frozenset(optional), frozenset(can_be_missing - named.keys()), parameters
        )


def intake_of(
    manifest: Manifest,
    signature: Signature,
    features: FeatureReferences | None,
    count: Count,
    now: Callable[[], float] = time.time,
) -> Intake | None:
    """What is done with the requests of a model; None where the package asks for nothing.

    Raises:
        PackageError: InvalidPackage.
    """
    if not manifest.variables and manifest.clock is None and (features or manifest.features) is None:
        return None
    return Intake(manifest, signature, features, count, now)


def _key_spec(entity: Entity, signature: Signature) -> TensorSpec:
    datatype = Datatype(entity.datatype)
    spec = signature.inputs_by_name.get(entity.tensor)
    if spec is None:
        return TensorSpec(name=entity.tensor, datatype=datatype, shape=(-1,))
    if spec.datatype is not datatype or len(spec.shape) not in (1, 2) or spec.shape[1:] not in ((), (1,)):
        shape = f"{spec.datatype} {list(spec.shape)}"
        raise refused(entity.name, f"a key is {datatype}, one value a row, and the input {spec.name!r} is {shape}")
    return spec


def _described(filled: Filled) -> dict[str, str | bool]:
    """What the metadata says of an input that may be left out."""
    told: dict[str, str | bool] = {"optional": True, "source": ", ".join(filled.sources)}
    return told if filled.accepted else {**told, "accepted": False}


def _written(notes: Sequence[str]) -> str:
    """Notes as they travel: printable ASCII, whatever variables are called."""
    if not notes:
        return ""
    text = ", ".join(quote(note, safe=_PLAIN) for note in notes)
    return text if len(text) <= _LONGEST_NOTES else text[:_LONGEST_NOTES].rpartition(", ")[0] + ", ..."


_PLAIN = " !#$&'()*+-./:;<=>?@[]^_`{|}~"
"""What `quote` leaves as it is beside letters and digits: commas part one note from the next."""
