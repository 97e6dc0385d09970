"""Whether a live object already is what is wanted, so that a pass that changes nothing writes nothing.

Two questions: has the wish changed since it was applied (a hash beside it, which also sees removed fields), and does
the live object still hold every wanted field (somebody may have changed it)? Defaults that the server added are no
difference, nor is another spelling of the same quantity or number.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from sluice_operator.api.names import APPLIED_HASH

_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip

_QUANTITIES = {"requests", "limits", "sizeLimit", "averageValue", "hard", "divisor"}
"""Fields below which strings are quantities; elsewhere "1" and "1k" stay what they are."""


def with_hash(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest to apply: the wish, and its hash as an annotation."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED_HASH: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def up_to_date(hashed: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether applying `hashed` (see `with_hash`) would change nothing that matters in `live`."""
    wanted = {key: value for key, value in hashed.items() if key not in ("apiVersion", "kind")}
    return live is not None and contains(live, wanted)


_LIST_KEYS = ("mountPath", "uid", "containerPort", "port", "name")
"""What tells items of the API's associative lists apart; others may add items of their own to those."""

_ATOMIC = {"parentRefs", "rules", "matches", "headers", "backendRefs", "filters"}
"""Lists of a route that are one value: an item more is another route."""


def contains(live: Any, wanted: Any, quantity: bool = False) -> bool:
    """Whether `live` holds everything in `wanted`. Associative lists may hold more, other lists count in order and
    length; a wanted None, empty list or empty mapping matches an absent field.
    """
    if wanted is None or wanted in ({}, []):
        return live is None or live == wanted or bool(wanted == {} and isinstance(live, Mapping))
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(_holds(live, key, value, quantity) for key, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return isinstance(live, Sequence) and _contains_items(live, wanted, quantity)
    return _same(live, wanted, quantity)


def _holds(live: Mapping[str, Any], field: str, wanted: Any, quantity: bool) -> bool:
    have = live.get(field)
    if field in _ATOMIC and isinstance(have, Sequence) and len(have) != len(wanted):
        return False
    return contains(have, wanted, quantity or field in _QUANTITIES)


def _contains_items(live: Sequence[Any], wanted: Sequence[Any], quantity: bool) -> bool:
    if key := _list_key(wanted):
        have = {item.get(key): item for item in live if isinstance(item, Mapping)}
        return all(contains(have.get(item[key]), item, quantity) for item in wanted)
    return len(live) == len(wanted) and all(
        contains(have, want, quantity) for have, want in zip(live, wanted, strict=True)
    )


def _list_key(items: Sequence[Any]) -> str | None:
    if not all(isinstance(item, Mapping) for item in items):
        return None
    return next((key for key in _LIST_KEYS if _tells_apart(key, items)), None)


def _tells_apart(key: str, items: Sequence[Mapping[str, Any]]) -> bool:
    return all(key in item for item in items) and len({item[key] for item in items}) == len(items)


def _same(live: Any, wanted: Any, quantity: bool) -> bool:
    if live is None:
        # The server leaves zero values out.
        return wanted in (False, 0, "")
    if isinstance(wanted, bool) or isinstance(live, bool):
        return live is wanted
    if quantity:
        left, right = amount(str(live)), amount(str(wanted))
        if left is not None and right is not None:
            return left == right
    return bool(live == wanted) or str(live) == str(wanted)


def amount(text: str) -> Decimal | None:
    """A Kubernetes quantity as a number, None where it is not one. Grammar: k8s.io/apimachinery/pkg/api/resource."""
    digits = text.rstrip("numkKMGTPEi")
    suffix = text[len(digits) :]
    if suffix not in _SUFFIXES:
        return None
    try:
        return Decimal(digits) * _SUFFIXES[suffix]
    except InvalidOperation:
        return None
