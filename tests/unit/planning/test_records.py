"""A revision's record is immutable in the cluster: what is written must not depend on the operator's version."""

from sluice_operator.planning.observed import RevisionRecord
from sluice_operator.planning.workloads import controller_revision

from .world import World, make_spec


def test_a_record_holds_no_defaults_so_that_a_field_added_later_leaves_it_as_it_is() -> None:
    world = World(make_spec()).settle()
    (record,) = world.records.values()
    assert controller_revision(world.resource, record)["data"]["runtime"] == {}


def test_a_record_holds_what_the_spec_says() -> None:
    world = World(make_spec(runtime={"batching": {"maxSize": 8}})).settle()
    (record,) = world.records.values()
    assert isinstance(record, RevisionRecord)
    assert controller_revision(world.resource, record)["data"]["runtime"] == {"batching": {"maxSize": 8}}
    assert record.runtime.batching.max_size == 8
