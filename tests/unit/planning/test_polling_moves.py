"""What becomes of a rollout, and of a version that was taken back, when the reference moves."""

from .registry import ALIAS, INTERVAL, canary_uri, digest, following, stable_uri, taken_back


def test_a_version_that_was_taken_back_stays_so_until_the_reference_moves_again() -> None:
    registry = taken_back(2)
    for _ in range(3):
        world = registry.wait(INTERVAL)
        assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
        assert world.condition("Stalled").status == "True"
        assert world.condition("Promoted").status == "False"
    registry.version = 3
    world = registry.wait(INTERVAL)
    assert canary_uri(world) == "models:/shop/3"
    assert world.condition("Stalled").status == "False"


def test_a_reference_that_goes_back_to_what_serves_is_at_rest() -> None:
    registry = taken_back(2)
    registry.version = 1
    world = registry.wait(INTERVAL)
    assert (stable_uri(world), world.status.canary) == ("models:/shop/1", None)
    assert world.condition("Promoted").status == "True"
    assert world.condition("Stalled").status == "False"


def test_a_retry_tries_what_the_reference_stands_for() -> None:
    registry = taken_back(2)
    registry.world.please("retry")
    world = registry.settle()
    assert canary_uri(world) == "models:/shop/2"


def test_a_reference_that_moves_on_while_its_version_is_taken_back_is_not_held_against_it() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    world.routers_follow = False
    world.please("abort").run()
    registry.version = 3
    registry.wait(INTERVAL)
    assert canary_uri(world) == "models:/shop/2", "its traffic has not been seen to leave"
    world.routers_follow = True
    world.run()
    assert canary_uri(registry.settle()) == "models:/shop/3"


def test_a_reference_that_moves_during_a_rollout_supersedes_it() -> None:
    registry = following()
    registry.version = 2
    registry.wait(INTERVAL)
    registry.version = 3
    world = registry.wait(INTERVAL)
    assert (stable_uri(world), canary_uri(world)) == ("models:/shop/1", "models:/shop/3")
    (left,) = (entry for entry in world.status.history if entry.uri == "models:/shop/2")
    assert (left.outcome, left.message) == ("Superseded", f"{ALIAS} stands for models:/shop/3 now")


def test_a_rollback_by_request_holds_until_the_reference_moves() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    world.please("promote")
    registry.settle()
    assert stable_uri(world) == "models:/shop/2"
    world.please("rollback")
    registry.settle()
    for _ in range(2):
        assert stable_uri(registry.wait(INTERVAL)) == "models:/shop/1"
        assert world.condition("Stalled").status == "True"
    registry.version = 3
    assert canary_uri(registry.wait(INTERVAL)) == "models:/shop/3"


def test_a_reference_that_returns_to_a_former_version_goes_straight_back() -> None:
    registry = following()
    registry.version = 2
    world = registry.wait(INTERVAL)
    world.please("promote")
    registry.settle()
    registry.version = 1
    assert stable_uri(registry.wait(INTERVAL)) == "models:/shop/1"


def test_a_former_spec_returns_to_what_it_was_and_is_looked_at_at_once() -> None:
    registry = following(rollout={})
    model = registry.world.spec["model"]
    registry.world.ask(model={"uri": "http://store/other.tar.gz", "digest": digest(9)})
    registry.wait(INTERVAL)
    registry.version = 2
    registry.world.ask(model=model).settle()
    assert stable_uri(registry.world) == "models:/shop/1", "without waiting for anybody"
    assert stable_uri(registry.settle()) == "models:/shop/2"
