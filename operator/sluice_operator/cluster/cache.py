"""What the watches have shown, in memory: reads cost nothing, and a pass over all resources asks nothing.

Objects are trimmed to what is read, found by kind and owner, and never go back in time: resource versions are
comparable numbers within one cluster (KEP-5504), so an echo or a late answer of an older write is ignored.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sluice_operator import metrics
from sluice_operator.api.names import DEPLOYMENT
from sluice_operator.api.resource import KIND
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
    kept = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    if kind is POD:
        kept.pop("spec", None)
    return {**kept, "metadata": metadata}


class Cache:
    """Objects by kind, namespace and name, and by owner."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[_Place, Json]] = defaultdict(dict)
        self._owned: dict[Kind, dict[Key, dict[str, Json]]] = defaultdict(lambda: defaultdict(dict))
        self._notes: dict[tuple[Kind, _Place], str] = {}
        self._deleted: OrderedDict[tuple[Kind, _Place], int] = OrderedDict()

    def put(self, kind: Kind, obj: Json) -> set[Key]:
        """Take in an object as seen; the owners whose picture changed (none where it is no news)."""
        place = _place(obj)
        before = self._objects[kind].get(place)
        known = version(before) if before is not None else self._deleted.get((kind, place), 0)
        if version(obj) <= known:
            return set()
        kept = trimmed(kind, obj)
        owners = self._unlink(kind, before)
        self._notes.pop((kind, place), None)
        self._objects[kind][place] = kept
        if owner := owner_of(kind, kept):
            self._owned[kind][owner][place.name] = kept
            owners.add(owner)
        self._count(kind)
        return owners

    def drop(self, kind: Kind, obj: Json) -> set[Key]:
        """Take in that an object was seen deleted; the owners whose picture changed."""
        place = _place(obj)
        self._remember_deletion(kind, place, version(obj))
        before = self._objects[kind].get(place)
        if before is None or version(before) > version(obj):
            return set()
        del self._objects[kind][place]
        self._notes.pop((kind, place), None)
        self._count(kind)
        return self._unlink(kind, before)

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object, None where none was seen."""
        return self._objects[kind].get(_Place(namespace, name))

    def note(self, kind: Kind, namespace: str, name: str, text: str) -> None:
        """Remember something about an object for as long as it does not change."""
        self._notes[kind, _Place(namespace, name)] = text

    def noted(self, kind: Kind, namespace: str, name: str) -> str | None:
        """What is remembered about an object as it is now."""
        return self._notes.get((kind, _Place(namespace, name)))

    def knows(self, kind: Kind, namespace: str, name: str, at: int) -> bool:
        """Whether the cache has seen this object at this version or later, even if deleted since."""
        place = _Place(namespace, name)
        held = self._objects[kind].get(place)
        return (version(held) if held is not None else self._deleted.get((kind, place), 0)) >= at

    def owned(self, kind: Kind, owner: Key) -> list[Json]:
        """Objects of a kind that belong to a ModelDeployment, by name."""
        found = self._owned[kind].get(owner, {})
        return [found[name] for name in sorted(found)]

    def keys(self) -> set[Key]:
        """Every ModelDeployment."""
        return {Key(*place) for place in self._objects[MODEL_DEPLOYMENT]}

    def all(self, kind: Kind) -> Iterator[Json]:
        """Every object of a kind."""
        return iter(list(self._objects[kind].values()))

    def _unlink(self, kind: Kind, obj: Json | None) -> set[Key]:
        if obj is None or (owner := owner_of(kind, obj)) is None:
            return set()
        siblings = self._owned[kind][owner]
        siblings.pop(obj["metadata"]["name"], None)
        if not siblings:
            del self._owned[kind][owner]
        return {owner}

    def _remember_deletion(self, kind: Kind, place: _Place, at: int) -> None:
        """A late answer to an older write must not bring a deleted object back."""
        self._deleted[kind, place] = at
        self._deleted.move_to_end((kind, place))
        if len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)

    def _count(self, kind: Kind) -> None:
        metrics.CACHED.labels(kind.kind).set(len(self._objects[kind]))


def _place(obj: Json) -> _Place:
    return _Place(obj["metadata"]["namespace"], obj["metadata"]["name"])
