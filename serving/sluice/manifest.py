"""`model.yaml`: what a model package says about itself.

The schema is versioned by `apiVersion` and refuses unknown fields, so that a package written for a later runtime is
refused by an older one instead of being served without what it asks for.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from sluice import __version__
from sluice.contract import Clock, FeatureReferences, Variable
from sluice.digest import DIGEST_PATTERN
from sluice.failures import PackageError, Reason

MANIFEST_FILE = "model.yaml"
MODEL_FILE = "model.onnx"
README_FILE = "README.md"
SAMPLE_FILE = "sample.json"
"""Inputs of the model and the outputs they must give, written as requests and answers of the protocol are."""
STATISTICS_FILE = "statistics.json"
"""What the values of every input and output looked like in training."""
CODE_FOLDER = "code"
LOCK_FILE = "code/requirements.lock"
API_VERSION: Literal["sluice.dev/package/v1"] = "sluice.dev/package/v1"
MANIFEST_LIMIT = 1024**2
"""Bytes. A manifest is a page of text; more is a mistake or an attack on the YAML parser."""

MANIFEST_PARTS = 20_000
"""Lines, braces, brackets and commas, which bound what the parser makes of the text: a tensor has six of them. A
megabyte of nothing else would take a gigabyte and a minute."""

_MAX_DIMENSIONS = 32
"""As many as NumPy had for long. YAML lets thousands of tensors refer to one long shape, and each would copy it."""

_SUMMED_UP = 5
_LINE = 240
"""Metrics, and characters of each entry, in a card's summary."""

_EXPLAINED = 10
"""Errors that are told; the first few say what is wrong."""


class Datatype(StrEnum):
    """Tensor datatypes by their names in the Open Inference Protocol V2."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class TensorSpec(_Strict):
    """One input or output. `shape` has -1 for a dimension that is known only at run time; () is a scalar."""

    name: str = Field(min_length=1)
    datatype: Datatype
    shape: Annotated[tuple[Annotated[int, Field(ge=-1)], ...], FailFast(), Field(max_length=_MAX_DIMENSIONS)]


_Text = Annotated[str, Field(max_length=4096)]
_Label = Annotated[str, Field(min_length=1, max_length=256)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Metrics = Annotated[dict[_Label, _Number], Field(max_length=64)]


class Slice(_Strict):
    """How well the model does where variable `by` has `value`; `rows` of the evaluation do."""

    by: _Label
    value: _Label
    rows: int = Field(ge=0)
    metrics: _Metrics


class Fairness(_Strict):
    """One metric by the values of the variable `group`, and how far the best and the worst of them lie apart."""

    group: _Label
    metric: _Label
    values: _Metrics
    difference: _Number


class Importance(_Strict):
    """How much of what the model knows it has from one variable, from 0 to 1."""

    variable: _Label
    share: float = Field(ge=0, le=1)


class Card(_Strict):
    """What a person should know before using the model. All of it is shown and none of it changes what is served."""

    description: _Text | None = None
    owner: _Label | None = None
    license: _Label | None = None
    intended_use: _Text | None = Field(default=None, alias="intendedUse")
    limitations: _Text | None = None
    # Which data it was trained and evaluated on.
    data: _Text | None = None
    # Of an evaluation on rows that training did not see.
    metrics: _Metrics | None = None
    slices: tuple[Slice, ...] | None = Field(default=None, max_length=256)
    fairness: tuple[Fairness, ...] | None = Field(default=None, max_length=64)
    importance: tuple[Importance, ...] | None = Field(default=None, max_length=256)

    def summary(self) -> dict[str, str]:
        """A few words for `status`: description, owner and the first metrics, each cut to a line."""
        metrics = list((self.metrics or {}).items())[:_SUMMED_UP]
        words = {
            "description": self.description,
            "owner": self.owner,
            "metrics": ", ".join(f"{name}={value:.6g}" for name, value in metrics),
        }
        return {name: " ".join(text.split())[:_LINE] for name, text in words.items() if text}


class Sample(_Strict):
    """How exactly `sample.json` must be met: |given - expected| <= absolute + relative * |expected|; anything that is
    not a floating-point number, exactly. Trees sum in another order in batches of another size, by about 1e-7.
    """

    relative: float = Field(default=1e-5, ge=0, le=0.1, allow_inf_nan=False)
    # None: 1e-6, and less where all that an output is expected to be is that small (`sluice.sample.absolute_of`).
    absolute: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Preprocessing(_Strict):
    """Python code around the graph, for what an ONNX graph cannot say. `entrypoint`: MODULE:CLASS below `code/`, a
    `sluice.model.Model`; `environment`: sha256 of `code/requirements.lock`, which the runtime's image must hold.
    """

    entrypoint: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=256)
    environment: str = Field(pattern=DIGEST_PATTERN)


class Training(_Strict):
    """How the model came to be: what one needs to make it again. Digests are of content, so that they say the same
    on every machine. `libraries`: versions of those that took part. `previous`: the package it started from.
    """

    seed: int
    data: str = Field(pattern=DIGEST_PATTERN)
    code: str = Field(pattern=DIGEST_PATTERN)
    libraries: dict[str, str] = Field(default_factory=dict, max_length=256)
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict, max_length=256)
    previous: str | None = Field(default=None, pattern=DIGEST_PATTERN)


class Manifest(_Strict):
    """The parsed `model.yaml`. Outputs that are no tensors are left out.

    `inputs` are what the model is asked with: every tensor the graph takes, or, with `preprocessing`, what its code
    takes, and `outputs` what it gives. Features and the clock fill inputs in that callers leave out.
    """

    api_version: Literal["sluice.dev/package/v1"] = Field(default=API_VERSION, alias="apiVersion")
    name: str = Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,126}[A-Za-z0-9])?$")
    version: str = Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]{0,62}$")
    inputs: Annotated[tuple[TensorSpec, ...], FailFast()]
    outputs: Annotated[tuple[TensorSpec, ...], FailFast()] = Field(min_length=1)
    card: Card | None = None
    variables: Annotated[tuple[Variable, ...], FailFast()] = Field(default=(), max_length=4096)
    features: FeatureReferences | None = None
    clock: Clock | None = None
    # None: there is no `sample.json`.
    sample: Sample | None = None
    preprocessing: Preprocessing | None = None
    training: Training | None = None

    @property
    def only_loading_tells(self) -> bool:
        """Whether it says anything of requests or answers that is held against the loaded model alone."""
        return bool(self.variables or self.features or self.clock or self.sample or self.preprocessing)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        for tensors in (self.inputs, self.outputs):
            names = [tensor.name for tensor in tensors]
            if len(names) != len(set(names)):
                raise ValueError(f"tensor names repeat: {names}")
        return self

    @model_validator(mode="after")
    def _what_is_said_of_inputs_is_said_of_some(self) -> Manifest:
        inputs = {spec.name: spec.shape for spec in self.inputs}
        features = self.features.features if self.features else ()
        for kind, items in (("variable", self.variables), ("feature", features)):
            for item in items:
                _check_place(f"{kind} {item.name!r}", item.tensor, item.column, inputs)
        if self.clock is not None:
            _check_place("clock", self.clock.input, None, inputs)
            if self.clock.input in {feature.tensor for feature in features}:
                raise ValueError(f"input {self.clock.input!r} is both a feature and the clock")
        return self


def _check_place(what: str, name: str, column: int | None, inputs: dict[str, tuple[int, ...]]) -> None:
    if name not in inputs:
        raise ValueError(f"{what}: there is no input {name!r}, but {list(inputs)}")
    if column is not None and (len(inputs[name]) < 2 or 0 <= inputs[name][-1] <= column):
        raise ValueError(f"{what}: input {name!r} has shape {list(inputs[name])}, and no column {column}")


def load_manifest(path: Path) -> Manifest:
    """Read and check a `model.yaml`.

    Raises:
        PackageError: InvalidPackage, naming the field that does not fit.
    """
    text = _read_text(path)
    try:
        return Manifest.model_validate(_of_a_known_version(yaml.safe_load(text), path.name))
    except yaml.YAMLError as error:
        raise PackageError(Reason.INVALID_PACKAGE, f"{path.name} is no YAML: {_one_line(error)}") from error
    except ValidationError as error:
        raise PackageError(Reason.INVALID_PACKAGE, f"{path.name}: {explain(error)}") from error
    except RecursionError as error:
        raise PackageError(Reason.INVALID_PACKAGE, f"{path.name} is nested too deeply") from error


def dump_manifest(manifest: Manifest) -> str:
    """YAML text of a manifest; equal manifests give equal text."""
    # What is not set is left out, so that a field added later changes no package's digest.
    payload = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not manifest.variables:
        del payload["variables"]
    return yaml.safe_dump(payload, sort_keys=False, default_flow_style=None, width=110)


def explain(error: ValidationError) -> str:
    """A validation error in one line: `field: what is wrong; field: ...`."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    # A list of which no item fits is told to be too short as well.
    within = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    told = [item for item in found if item["type"] != "too_short" or item["loc"] not in within]
    lines = [_explained(item["loc"], item["type"], item["msg"]) for item in told[:_EXPLAINED]]
    more = len(told) - len(lines)
    return "; ".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _explained(place: tuple[int | str, ...], kind: str, message: str) -> str:
    if kind == "value_error":  # ours: it says by itself what it is about
        message = message.removeprefix("Value error, ")
        return f"{'.'.join(map(str, place))}: {message}" if place else message
    told = "must be a mapping of fields" if kind == "model_type" else message
    return f"{'.'.join(map(str, place)) or 'document'}: {told}"


def _of_a_known_version(document: Any, name: str) -> Any:
    version = document.get("apiVersion", API_VERSION) if isinstance(document, dict) else API_VERSION
    if version != API_VERSION:
        raise PackageError(
            Reason.INVALID_PACKAGE,
            f"{name} has apiVersion {version!r}, and Sluice {__version__} reads {API_VERSION!r}: use a newer runtime, "
            "or make the package again with the `sluice` of this version",
        )
    return document


def _read_text(path: Path) -> str:
    with open(path, "rb") as file:
        content = file.read(MANIFEST_LIMIT + 1)
    if len(content) > MANIFEST_LIMIT:
        raise PackageError(Reason.INVALID_PACKAGE, f"{path.name} is larger than {MANIFEST_LIMIT} bytes")
    if sum(content.count(mark) for mark in (b"\n", b"\r", b"{", b"[", b",")) > MANIFEST_PARTS:
        raise PackageError(Reason.INVALID_PACKAGE, f"{path.name} has more than {MANIFEST_PARTS} parts")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PackageError(Reason.INVALID_PACKAGE, f"{path.name} is not UTF-8 text") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
