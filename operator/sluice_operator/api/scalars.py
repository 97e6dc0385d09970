"""Scalar types of the resource, so that a malformed value is refused by the API server with the field's name.

Each carries its pattern (for the CRD) and its parser (for the operator), so that the two cannot drift apart.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from sluice_operator.api.base import ApiModel, rules

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
AGE_PATTERN = r"^[1-9][0-9]*(s|m|h|d)$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"
SIZE_PATTERN = r"^[1-9][0-9]*(k|Ki|M|Mi|G|Gi|T|Ti)?$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

DURATION_MAX = "720h"

Duration = Annotated[
    str,
    Field(
        pattern=DURATION_PATTERN,
        max_length=32,
        examples=["90s", "1m30s"],
        json_schema_extra=rules(
            (
                # Where the pattern does not match, its own message is enough.
                f"!self.matches(r'{DURATION_PATTERN}') || duration(self) <= duration('{DURATION_MAX}')",
                f"a duration is at most {DURATION_MAX}",
            )
        ),
    ),
]
# Ages of data are days and weeks; CEL's durations end at hours, and no rule asks about these.
Age = Annotated[str, Field(pattern=AGE_PATTERN, max_length=12, examples=["90m", "7d"])]
Digest = Annotated[str, Field(pattern=DIGEST_PATTERN, max_length=71)]
# YAML's `cpu: 1` is a number; both forms are kept as the text that Kubernetes writes.
Quantity = Annotated[
    str,
    Field(
        pattern=QUANTITY_PATTERN,
        max_length=32,
        json_schema_extra={"x-kubernetes-int-or-string": True},
    ),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]
Size = Annotated[
    str,
    Field(pattern=SIZE_PATTERN, max_length=32, json_schema_extra={"x-kubernetes-int-or-string": True}),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]
ObjectName = Annotated[str, Field(pattern=DNS_SUBDOMAIN_PATTERN, min_length=1, max_length=253)]


class SecretRef(ApiModel):
    """A Secret in the ModelDeployment's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")


_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def seconds(duration: str) -> float:
    """Seconds of a duration such as ``1m30s`` or ``0ms``; raises ValueError where it does not parse."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration such as 30s or 1m30s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(duration))


def age_seconds(age: str) -> float:
    """Seconds of an age such as ``7d``; raises ValueError where it does not parse."""
    if not re.fullmatch(AGE_PATTERN, age):
        raise ValueError(f"{age!r} is not an age such as 90m or 7d")
    return int(age[:-1]) * ({"d": 86400.0} | _UNIT_SECONDS)[age[-1]]


_DECIMAL = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_SIZE_UNITS = _DECIMAL | {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_SIZE_PARTS = re.compile("([1-9][0-9]*)(.*)")


def size_in_bytes(size: str) -> int:
    """Bytes of a size such as ``10Gi``; raises ValueError where it does not parse."""
    parts = _SIZE_PARTS.fullmatch(size)
    if parts is None or parts[2] not in _SIZE_UNITS:
        raise ValueError(f"{size!r} is not a size such as 500Mi or 10Gi")
    return int(parts[1]) * _SIZE_UNITS[parts[2]]
