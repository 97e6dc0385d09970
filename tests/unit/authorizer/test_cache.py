"""What is remembered is bounded in number and in age, and nothing but its use keeps it alive."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.cache import Cache


def test_a_value_is_fresh_then_due_and_then_gone():
    cache: Cache[str] = Cache(2)
    cache.put("k", "v", 100.0, soft=10.0, hard=18.0)
    for now, soft in ((100.0, False), (109.9, False), (110.0, True), (117.9, True)):
        entry = cache.get("k", now)
        assert entry is not None
        assert (entry.soft <= now) is soft
    assert cache.get("k", 118.0) is None
    assert len(cache) == 0


def test_use_does_not_make_a_value_younger():
    cache: Cache[str] = Cache(2)
    cache.put("k", "v", 0.0, 10.0, 18.0)
    for now in range(18):
        assert cache.get("k", float(now))
    assert cache.get("k", 18.0) is None


def test_a_value_that_ends_early_is_never_due_after_its_end():
    cache: Cache[str] = Cache(2)
    cache.put("k", "v", 0.0, 10.0, 3.0)
    entry = cache.get("k", 2.0)
    assert entry is not None
    assert entry.soft == entry.hard == 3.0


def test_a_value_that_has_ended_already_is_never_given():
    cache: Cache[str] = Cache(2)
    cache.put("k", "v", 0.0, 10.0, -1.0)
    assert cache.get("k", 0.0) is None


MOST = 3
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "drop"]), st.sampled_from("abcdef"), st.floats(0.0, 5.0)), max_size=60
)


@given(ACTIONS)
def test_it_holds_the_values_that_were_used_last(actions):
    cache: Cache[float] = Cache(MOST)
    model: OrderedDict[str, tuple[float, float]] = OrderedDict()
    now = 0.0
    for action, key, seconds in actions:
        now += seconds
        if action == "put":
            cache.put(key, now, now, 2.0, 8.0)
            model[key] = (now, now + 8.0)
            model.move_to_end(key)
            while len(model) > MOST:
                model.popitem(last=False)
        elif action == "drop":
            cache.drop(key)
            model.pop(key, None)
        else:
            entry, known = cache.get(key, now), model.get(key)
            if known is None or known[1] <= now:
                assert entry is None
                model.pop(key, None)
            else:
                assert entry is not None
                assert entry.value == known[0]
                model.move_to_end(key)
        assert len(cache) == len(model) <= MOST
