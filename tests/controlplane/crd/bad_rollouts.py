"""What is refused of rollouts: steps, testers, users who stay, and durations."""

from controlplane.crd.refused import Refused, match, steps

TABLE = (
    Refused("weights that fall", ("spec.rollout.steps", "weights of steps must rise"), spec=steps(50, 10)),
    Refused("weights that stay", ("spec.rollout.steps", "weights of steps must rise"), spec=steps(10, 50, 50)),
    Refused("a weight above 100", ("spec.rollout.steps[1].weight", "less than or equal to 100"), spec=steps(50, 101)),
    Refused("a weight of nothing without testers", ("spec.rollout", "weight 0 needs match"), spec=steps(0)),
    Refused("a match of nothing", ("spec.rollout.match[0]", "header, cookie or both"), spec=match()),
    Refused("a header without a value", ("match[0].header", "exactly one of"), spec=match(header={"name": "x"})),
    Refused(
        "a header with two kinds of value",
        ("match[0].header", "exactly one of"),
        spec=match(header={"name": "x", "value": "1", "regex": "1"}),
    ),
    Refused(
        "a header that must be absent",
        ("present can only be true",),
        spec=match(header={"name": "x", "present": False}),
    ),
    Refused(
        "a header that the router removes",
        ("match[0].header.name", "x-envoy-"),
        spec=match(header={"name": "X-Envoy-Internal", "value": "true"}),
    ),
    Refused(
        "a pseudo header", ("match[0].header.name", "should match"), spec=match(header={"name": ":path", "value": "/"})
    ),
    Refused("no regular expression", ("header.regex",), spec=match(header={"name": "x", "regex": "("})),
    Refused(
        "a regular expression that explodes",
        ("header.regex", "counted repetitions"),
        spec=match(header={"name": "x", "regex": "((a{99}){99}){99}"}),
    ),
    Refused(
        "steps of a rollout that switches once",
        ("spec.rollout", "BlueGreen moves all traffic at once"),
        spec={"rollout": {"strategy": "BlueGreen", "steps": [{"weight": 10}]}},
    ),
    Refused(
        "a preview of a rollout by steps",
        ("spec.rollout", "preview belongs to the strategy BlueGreen"),
        spec={"rollout": {"preview": {"hold": "1m"}}},
    ),
    Refused(
        "users who are known by two things",
        ("spec.router.sticky", "exactly one of cookie and header"),
        spec={"router": {"sticky": {"cookie": {}, "header": "x-user"}}},
    ),
    Refused(
        "a cookie that is forgotten at once",
        ("sticky.cookie.ttl", "at least 1s"),
        spec={"router": {"sticky": {"cookie": {"ttl": "500ms"}}}},
    ),
    Refused(
        "a cookie's value that no cookie can have",
        ("cookie.value", "should match"),
        spec=match(cookie={"name": "t", "value": "a;b"}),
    ),
    Refused("a step without a weight", ("spec.rollout.steps[0].weight", "Required"), spec={"rollout": {"steps": [{}]}}),
    Refused("too many steps", ("spec.rollout.steps", "at most 20"), spec=steps(*range(1, 22))),
    Refused("a duration of no unit", ("spec.rollout.steps[0].hold", "ms|s|m|h"), spec=steps(10, hold="30")),
    Refused("a duration of an unknown unit", ("spec.rollout.steps[0].hold", "ms|s|m|h"), spec=steps(10, hold="2 days")),
    Refused("a duration as a number", ("spec.rollout.steps[0].hold", "string"), spec=steps(10, hold=30)),
    Refused("a duration beyond reason", ("spec.rollout.drainDelay", "720h"), spec={"rollout": {"drainDelay": "721h"}}),
    Refused(
        "a duration beyond what a computer holds",
        ("spec.rollout.drainDelay", "720h"),
        spec={"rollout": {"drainDelay": "99999999999h"}},
    ),
)
