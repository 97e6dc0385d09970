"""A registry whose alias moves, and a ModelDeployment that follows it."""

from datetime import timedelta
from typing import Any

from sluice_operator.planning.clock import stamp
from sluice_operator.planning.observed import Problem, Resolver

from .world import World, make_spec

ALIAS = "models:/shop@champion"
INTERVAL = 60
OPEN_STEP = {"steps": [{"weight": 10, "pause": True}]}


def digest(version: int) -> str:
    return f"sha256:{version:064x}"


class Registry:
    """What the alias stands for, and the resolver Jobs that ask it. `down`: it answers nothing."""

    def __init__(self, world: World) -> None:
        self.world, self.version = world, 1
        self.looks: list[str] = []
        self.problem: Problem | None = None
        self.lie: Resolver | None = None

    def answer(self) -> None:
        """Every Job that is there ends, as the resolver in its pod would have it."""
        self.world.resolvers = {}
        for job in self.world.of_kind("Job"):
            key = job["metadata"]["name"].rpartition("-")[2]
            self.world.resolvers[key] = self._word(job)

    def _word(self, job: Any) -> Resolver:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        uri, since = f"models:/shop/{self.version}", stamp(self.world.now)
        if job["metadata"]["name"] not in self.looks:
            self.looks.append(job["metadata"]["name"])
        if self.lie:
            return self.lie
        if self.problem:
            return Resolver("Failed", problem=self.problem, since=since)
        if f'"knownUri":"{uri}"' in container["env"][0]["value"]:
            return Resolver("Succeeded", uri=uri, since=since)
        return Resolver("Succeeded", digest(self.version), version=f"2.{self.version}", uri=uri, since=since)

    def settle(self) -> World:
        """Passes until nothing changes, with Jobs that end at once."""
        for _ in range(12):
            before = self.world.status
            self.world.settle()
            self.answer()
            if self.world.status == before and not self.world.of_kind("Job"):
                return self.world
        raise AssertionError(f"did not settle: {self.world.status}")

    def wait(self, seconds: float) -> World:
        self.world.now += timedelta(seconds=seconds)
        return self.settle()


def following(**changes: Any) -> Registry:
    """A world that serves what the alias stands for, with version 1 promoted."""
    model = {"uri": ALIAS, "endpoint": "http://mlflow:5000", "poll": f"{INTERVAL}s"}
    registry = Registry(World(make_spec() | {"model": model, "rollout": OPEN_STEP} | changes))
    registry.settle()
    return registry


def stable_uri(world: World) -> str:
    assert world.status.stable
    return world.status.stable.uri


def canary_uri(world: World) -> str:
    assert world.status.canary, world.status
    return world.status.canary.uri


def events(world: World, reason: str) -> list[str]:
    return [note.message for note in world.events if note.reason == reason]


def canary_or_none(world: World) -> str | None:
    return world.status.canary.uri if world.status.canary else None


def taken_back(version: int) -> Registry:
    """Version 1 serves; the alias went on to another one, which was aborted."""
    registry = following()
    registry.version = version
    registry.wait(INTERVAL)
    registry.world.please("abort")
    registry.settle()
    return registry
