"""What the watches have shown, in memory: reads cost nothing, and a pass over all resources asks nothing.

Objects are trimmed to what is read, found by kind and owner, and never go back in time: resource versions are
comparable numbers within one cluster (KEP-5504), so an echo or a late answer of an older write is ignored.
"""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sluice_operator import metrics
from sluice_operator.api.names import DEPLOYMENT
from sluice_operator.api.resource import KIND, spec_owners
from sluice_operator.cluster.kinds import MODEL_DEPLOYMENT, POD, Kind

Json = Mapping[str, Any]

REMEMBERED_DELETIONS = 4096


class Key(NamedTuple):
    """Which ModelDeployment; what the work queue queues."""

    namespace: str
    name: str


class _Place(NamedTuple):
    namespace: str
    name: str


def version(obj: Json) -> int:
    """Resource version of an object."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def owner_of(kind: Kind, obj: Json) -> Key | None:
    """The ModelDeployment an object belongs to: by itself, by its label, or by its owner reference."""
    metadata = obj["metadata"]
    namespace = metadata["namespace"]
    if kind is MODEL_DEPLOYMENT:
        return Key(namespace, metadata["name"])
    if label := (metadata.get("labels") or {}).get(DEPLOYMENT):
        return Key(namespace, label)
    owners = metadata.get("ownerReferences") or []
    return next((Key(namespace, owner["name"]) for owner in owners if owner["kind"] == KIND), None)


def trimmed(kind: Kind, obj: Json) -> Json:
    """The object without what nobody reads; of pods, whose specs are most of the bytes, the status is enough."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if kind is MODEL_DEPLOYMENT and (owners := spec_owners(obj["metadata"])):
        metadata["managedFields"] = owners
    kept = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    if kind is POD:
        kept.pop("spec", None)
    return {**kept, "metadata": metadata}


@dataclass(frozen=True, slots=True)
class _Held:
    """An object as JSON text: a sixth of the memory of parsed JSON, and parsed again in microseconds."""

    version: int
    owner: Key | None
    text: str


class Cache:
    """Objects by kind, namespace and name, and by owner. What is read from it is the reader's own copy."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[_Place, _Held]] = defaultdict(dict)
        self._owned: dict[Kind, dict[Key, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._notes: dict[tuple[Kind, _Place], str] = {}
        self._deleted: OrderedDict[tuple[Kind, _Place], int] = OrderedDict()

    def put(self, kind: Kind, obj: Json) -> set[Key]:
        """Take in an object as seen; the owners whose picture changed (none where it is no news)."""
        place = _place(obj)
        if version(obj) <= self._known(kind, place):
            return set()
        owners = self._remove(kind, place)
        owner = owner_of(kind, obj)
        text = json.dumps(trimmed(kind, obj), separators=(",", ":"))
        self._objects[kind][place] = _Held(version(obj), owner, text)
        if owner is not None:
            self._owned[kind][owner].add(place.name)
            owners.add(owner)
        self._count(kind)
        return owners

    def drop(self, kind: Kind, obj: Json) -> set[Key]:
        """Take in that an object was seen deleted; the owners whose picture changed."""
        return self.drop_at(kind, *_place(obj), version(obj))

    def drop_at(self, kind: Kind, namespace: str, name: str, at: int) -> set[Key]:
        """Take in that an object is gone since version `at`."""
        place = _Place(namespace, name)
        self._remember_deletion(kind, place, at)
        held = self._objects[kind].get(place)
        if held is None or held.version > at:
            return set()
        owners = self._remove(kind, place)
        self._count(kind)
        return owners

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object, None where none was seen."""
        held = self._objects[kind].get(_Place(namespace, name))
        return None if held is None else _parsed(held)

    def owned(self, kind: Kind, owner: Key) -> list[Json]:
        """Objects of a kind that belong to a ModelDeployment, by name."""
        found = sorted(self._owned[kind].get(owner, ()))
        return [_parsed(self._objects[kind][_Place(owner.namespace, name)]) for name in found]

    def keys(self) -> set[Key]:
        """Every ModelDeployment."""
        return {Key(*place) for place in self._objects[MODEL_DEPLOYMENT]}

    def versions(self, kind: Kind) -> dict[tuple[str, str], int]:
        """Resource versions of all objects of a kind, by namespace and name."""
        return {place: held.version for place, held in self._objects[kind].items()}

    def knows(self, kind: Kind, namespace: str, name: str, at: int) -> bool:
        """Whether the cache has seen this object at this version or later, even if deleted since."""
        return self._known(kind, _Place(namespace, name)) >= at

    def note(self, kind: Kind, namespace: str, name: str, text: str) -> None:
        """Remember something about an object for as long as it does not change."""
        self._notes[kind, _Place(namespace, name)] = text

    def noted(self, kind: Kind, namespace: str, name: str) -> str | None:
        """What is remembered about an object as it is now."""
        return self._notes.get((kind, _Place(namespace, name)))

    def _known(self, kind: Kind, place: _Place) -> int:
        held = self._objects[kind].get(place)
        return held.version if held is not None else self._deleted.get((kind, place), 0)

    def _remove(self, kind: Kind, place: _Place) -> set[Key]:
        """Take an object out; its owner."""
        held = self._objects[kind].pop(place, None)
        self._notes.pop((kind, place), None)
        if held is None or held.owner is None:
            return set()
        siblings = self._owned[kind][held.owner]
        siblings.discard(place.name)
        if not siblings:
            del self._owned[kind][held.owner]
        return {held.owner}

    def _remember_deletion(self, kind: Kind, place: _Place, at: int) -> None:
        """A late answer to an older write must not bring a deleted object back."""
        self._deleted[kind, place] = at
        self._deleted.move_to_end((kind, place))
        if len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)

    def _count(self, kind: Kind) -> None:
        metrics.CACHED.labels(kind.kind).set(len(self._objects[kind]))


def _parsed(held: _Held) -> Json:
    parsed: Json = json.loads(held.text)
    return parsed


def _place(obj: Json) -> _Place:
    return _Place(obj["metadata"]["namespace"], obj["metadata"]["name"])
