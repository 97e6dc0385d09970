"""What is refused of features, and of the job that fills their store."""

from controlplane.crd.refused import OWN_FEATURES, Refused, features, materialized

TABLE = (
    Refused("features without a store", ("spec.features.store", "Required"), spec={"features": {"timeout": "1s"}}),
    Refused("a store without a scheme", ("spec.features.store.url",), spec={"features": {"store": {"url": "feast"}}}),
    Refused("a service without its keys", ("set all three, or none",), spec=features(service="revenue")),
    Refused(
        "a key of a type that no key has",
        ("spec.features.entities[0].datatype", "INT64"),
        spec=features(**OWN_FEATURES | {"entities": [{"name": "x", "datatype": "FP32"}]}),
    ),
    Refused(
        "a feature twice",
        ("spec.features.inputs", "duplicate entries for key", 'feature="a"'),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a"}, {"feature": "a"}]}),
    ),
    Refused(
        "a default that is a list",
        ("spec.features.inputs[0].default",),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a", "default": [1]}]}),
    ),
    Refused(
        "a default that is an object",
        ("spec.features.inputs[0].default",),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a", "default": {"a": 1}}]}),
    ),
    Refused(
        "an age without a unit",
        ("spec.features.inputs[0].maxAge",),
        spec=features(**OWN_FEATURES | {"inputs": [{"feature": "a", "maxAge": "7"}]}),
    ),
    Refused("a lookup without time", ("timeout is more than 0s",), spec=features(timeout="0s")),
    Refused("a lookup that takes its time", ("at most 10s",), spec=features(timeout="11s")),
    Refused("a cache of nothing", ("leave cache out for none",), spec=features(cache={"maxAge": "0s"})),
    Refused("a policy nobody knows", ("spec.features.onMissing", "Default"), spec=features(onMissing="Ignore")),
    Refused("a schedule in words", ("a schedule has five fields",), spec=materialized("every night")),
    Refused("a schedule of six fields", ("a schedule has five fields",), spec=materialized("0 30 4 * * *")),
    Refused("a minute that no hour has", ("a schedule has five fields",), spec=materialized("60 4 * * *")),
    Refused("a Sunday of another cron", ("0, Sunday, to 6",), spec=materialized("30 4 * * 7")),
    Refused("a descriptor that cron does not know", ("a schedule has five fields",), spec=materialized("@Daily")),
    Refused("a zone in the schedule", ("belongs into timeZone",), spec=materialized("TZ=UTC 30 4 * * *")),
    Refused(
        "a schedule without definitions",
        ("spec.features.materialization.definitions", "Required"),
        spec=features(materialization={"schedule": "@daily"}),
    ),
    Refused(
        "a view twice",
        ("spec.features.materialization.views", "duplicate entries"),
        spec=materialized("@daily", views=["a", "a"]),
    ),
    Refused("no views at all", ("spec.features.materialization.views",), spec=materialized("@daily", views=[])),
    Refused("a run without time", ("deadline is at least 1s",), spec=materialized("@daily", deadline="0s")),
    Refused(
        "a run that is late at once",
        ("startingDeadline is at least 10s",),
        spec=materialized("@daily", startingDeadline="9s"),
    ),
    Refused(
        "runs that leave no trace", ("failedJobsHistoryLimit",), spec=materialized("@daily", failedJobsHistoryLimit=0)
    ),
    Refused(
        "a misspelt part of the job's pod template",
        ("podTemplate.sepc",),
        spec=materialized("@daily", podTemplate={"sepc": {}}),
    ),
)
