"""The feature store is filled by a CronJob, and status says how that went; nothing else changes by it."""

from typing import Any

import pytest

from sluice.config import FEATURES_MOUNT
from sluice.failures import Reason
from sluice_operator.planning.materialization import REFUSED
from sluice_operator.planning.observed import Materialization, Problem, Run
from sluice_operator.planning.planner import Images

from .test_features import MATERIALIZATION, STORE
from .world import World, make_spec

WITH_TOOLS = Images(runtime="runtime:1", router="envoy:1", tools="tools:1")
BROKEN = Problem("FeaturesRefused", "view stores, column size: 3 rows below 0", permanent=True)


def world(images: Images = WITH_TOOLS, store: dict[str, Any] = STORE, **more: Any) -> World:
    """A model at rest whose store is filled on a schedule."""
    features = {"store": store, "materialization": MATERIALIZATION | more}
    return World(make_spec(features=features), images=images).settle()


def cron_job(found: World) -> Any:
    (one,) = found.of_kind("CronJob")
    return one


def pod_of(found: World) -> Any:
    return cron_job(found)["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def at(hour: int) -> str:
    return f"2026-01-01T{hour:02}:00:00Z"


def ran(found: World, *runs: Run, scheduled: str = "") -> World:
    """The next passes, with these runs to be seen."""
    found.materialization = Materialization(scheduled, runs)
    return found.settle()


def good(hour: int) -> Run:
    return Run(f"m-features-{hour}", "Succeeded", at(hour), at(hour))


def bad(hour: int, problem: Problem | None = BROKEN) -> Run:
    return Run(f"m-features-{hour}", "Failed", at(hour), at(hour), problem)


def told(found: World) -> tuple[str, str]:
    condition = found.condition("FeaturesReady")
    return condition.status, condition.reason


def test_the_job_checks_and_writes_what_the_definitions_say_into_the_store_that_pods_ask() -> None:
    found = world(views=["stores", "owners"], timeZone="Europe/Amsterdam", deadline="90s", suspend=True)
    spec = cron_job(found)["spec"]
    assert cron_job(found)["metadata"]["name"] == "m-features"
    assert cron_job(found)["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("30 4 * * *", "Europe/Amsterdam", True)
    assert (spec["concurrencyPolicy"], spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]) == ("Forbid", 90)
    (container,) = pod_of(found)["containers"]
    assert container["image"] == "tools:1"
    assert container["command"] == [
        *("sluice", "features", "materialize", "/etc/sluice/features/features.yaml", "--store=http://feast:6566"),
        *("--view=stores", "--view=owners", "--termination-log=/dev/termination-log"),
    ]


def test_data_that_are_refused_are_not_tried_again_and_what_may_pass_is() -> None:
    job = cron_job(world(backoffLimit=5))["spec"]["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (5, "Never")
    assert cron_job(world())["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 3
    drained, for_good = job["podFailurePolicy"]["rules"]
    assert drained == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert for_good == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "materialize", "operator": "In", "values": [2, 3]},
    }
    assert Reason.FEATURES_REFUSED.status == Reason.FEATURES_INVALID.status == 3
    assert Reason.FEATURES_UNAVAILABLE.status == 1


def test_what_a_late_run_does_and_what_is_kept_is_the_users_to_say() -> None:
    spec = cron_job(world(startingDeadline="10m", successfulJobsHistoryLimit=3, failedJobsHistoryLimit=7))["spec"]
    assert spec["startingDeadlineSeconds"] == 600
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 7)
    spec = cron_job(world())["spec"]
    assert "startingDeadlineSeconds" not in spec
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (1, 1)


OWN: dict[str, Any] = {
    "metadata": {"labels": {"team": "shop"}, "annotations": {"sidecar.istio.io/inject": "false"}},
    "spec": {
        "nodeSelector": {"pool": "batch"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "team"}],
        "volumes": [{"name": "lake", "persistentVolumeClaim": {"claimName": "lake", "readOnly": True}}],
        "containers": [
            {
                "name": "materialize",
                "env": [{"name": "SLUICE_FEATURES_MEMORY", "value": "2GB"}],
                "volumeMounts": [{"name": "lake", "mountPath": "/lake", "readOnly": True}],
            }
        ],
        "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
    },
}


def test_a_pod_template_is_merged_into_its_pods_alone() -> None:
    images = Images(runtime="runtime:1", router="envoy:1", tools="tools:1", pull_secrets=("mirror",))
    found = world(images, podTemplate=OWN)
    template, pod = cron_job(found)["spec"]["jobTemplate"]["spec"]["template"], pod_of(found)
    assert template["metadata"]["labels"]["team"] == "shop"
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "features"
    assert (pod["nodeSelector"], pod["imagePullSecrets"]) == ({"pool": "batch"}, [{"name": "mirror"}, {"name": "team"}])
    (container,) = pod["containers"]
    assert container["env"] == [{"name": "SLUICE_FEATURES_MEMORY", "value": "2GB"}]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/etc/sluice/features", "/tmp", "/lake"]
    assert [volume["name"] for volume in pod["volumes"]] == ["definitions", "tmp", "lake"]
    assert pod["initContainers"][0]["securityContext"] == container["securityContext"]
    assert "lake" not in str(found.of_kind("Deployment"))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"spec": {"hostNetwork": True}}, "podTemplate.spec.hostNetwork is not allowed"),
        ({"spec": {"securityContext": {}}}, "podTemplate.spec.securityContext is not allowed"),
        ({"spec": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}}, "volumes[host].hostPath is not allowed"),
        ({"spec": {"containers": [{"name": "materialize", "image": "x"}]}}, "[materialize].image is not allowed"),
        ({"spec": {"containers": [{"name": "proxy", "image": "x"}]}}, "initContainers with restartPolicy: Always"),
        ({"spec": {"containers": [{"name": "materialize", "env": [{"name": "SLUICE_X"}]}]}}, "belong to the operator"),
        ({"metadata": {"labels": {"sluice.dev/name": "x"}}}, "sluice.dev/name belongs to the operator"),
        # The schema leaves open what parts are made of.
        ({"spec": "text"}, "spec must be an object"),
        ({"metadata": {"annotations": ["a"]}}, "annotations must be an object"),
        ({"spec": {"containers": ["x"]}}, "spec.containers must be a list of objects"),
        ({"spec": {"volumes": {"a": 1}}}, "spec.volumes must be a list of objects"),
        ({"spec": {"imagePullSecrets": 5}}, "spec.imagePullSecrets must be a list of objects"),
        ({"spec": {"containers": [{"name": "materialize", "env": {"A": "b"}}]}}, "[materialize].env must be a list"),
        ({"spec": {"containers": [{"name": ["a"]}]}}, "each needs a name"),
    ],
)
def test_what_would_raise_privileges_or_never_end_is_refused_by_its_name(template: dict[str, Any], words: str) -> None:
    found = world(podTemplate=template)
    assert found.of_kind("CronJob") == []
    assert told(found) == ("False", "PodTemplateRefused")
    message = found.condition("FeaturesReady").message
    assert message.startswith("features.materialization.podTemplate.")
    assert words in message
    assert (found.condition("Ready").status, found.condition("Stalled").status) == ("True", "False")


def test_a_null_in_a_pod_template_is_a_part_that_is_not_there() -> None:
    nothing = {"metadata": {"labels": None}, "spec": {"containers": None, "volumes": None, "tolerations": None}}
    assert pod_of(world(podTemplate=nothing)) == pod_of(world())
    assert pod_of(world(podTemplate={"metadata": None, "spec": None})) == pod_of(world())


def test_a_zone_that_is_not_named_is_left_to_the_cluster() -> None:
    assert "timeZone" not in cron_job(world())["spec"]


def test_its_pod_has_no_token_and_no_privileges() -> None:
    pod = pod_of(world())
    (container,) = pod["containers"]
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_credentials_of_the_warehouse_and_of_the_store_are_its_own() -> None:
    found = world(
        store=STORE | {"credentials": {"secretRef": {"name": "feast"}}},
        credentials={"secretRef": {"name": "warehouse"}},
        serviceAccountName="reader",
    )
    pod = pod_of(found)
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "warehouse"}}]
    assert f"--store-credentials={FEATURES_MOUNT}" in container["command"]
    assert FEATURES_MOUNT in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert {"secretName": "feast"} in [volume.get("secret") for volume in pod["volumes"]]
    assert pod["serviceAccountName"] == "reader"
    assert "warehouse" not in str(found.of_kind("Deployment"))


def test_its_image_is_pulled_with_the_clusters_secrets() -> None:
    images = Images(runtime="runtime:1", router="envoy:1", tools="tools:1", pull_secrets=("mirror",))
    assert pod_of(world(images))["imagePullSecrets"] == [{"name": "mirror"}]


@pytest.mark.parametrize("features", [None, {"store": STORE}], ids=["no features", "a store that others fill"])
def test_where_none_is_asked_for_there_is_none_and_nothing_is_said(features: dict[str, Any] | None) -> None:
    found = World(make_spec(features=features), images=WITH_TOOLS).settle()
    assert found.of_kind("CronJob") == []
    assert found.status.features is None
    assert "FeaturesReady" not in [condition.type for condition in found.status.conditions]


def test_one_that_is_taken_out_of_the_spec_goes_and_with_it_what_was_said() -> None:
    found = ran(world(), bad(4))
    found.ask(features={"store": STORE}).settle()
    assert found.of_kind("CronJob") == []
    assert found.status.features is None


def test_before_its_first_run_nobody_knows() -> None:
    found = world()
    assert told(found) == ("Unknown", "NotYetRun")
    assert "30 4 * * *" in found.condition("FeaturesReady").message


def test_a_run_that_wrote_is_told_with_its_time() -> None:
    found = ran(world(), good(4), scheduled=at(4))
    assert told(found) == ("True", "Materialized")
    assert found.status.features
    assert (found.status.features.last_success, found.status.features.last_scheduled) == (at(4), at(4))
    assert [note.reason for note in found.events if note.reason.startswith("Features")] == ["FeaturesMaterialized"]


def test_a_run_that_failed_is_told_in_its_own_words_and_when_all_was_written_last() -> None:
    found = ran(ran(world(), good(4)), good(4), bad(5))
    assert told(found) == ("False", "FeaturesRefused")
    message = found.condition("FeaturesReady").message
    assert "3 rows below 0" in message
    assert message.endswith(f"the last run that wrote everything ended at {at(4)}")
    assert ("Warning", "FeaturesRefused") in [(note.type, note.reason) for note in found.events]


HALF = Problem("FeaturesUnavailable", "http://feast:6566 does not answer. Written were 2 of 3 keys of stores")


@pytest.mark.parametrize("problem", [BROKEN, HALF, None])
def test_of_a_first_run_that_failed_it_is_not_said_that_nothing_was_written(problem: Problem | None) -> None:
    found = ran(world(), bad(4, problem))
    message = found.condition("FeaturesReady").message
    assert (problem.message if problem else "failed") in message
    assert message.endswith("no run has written everything yet")
    assert "nothing was written" not in message
    assert "kept" not in message


def test_a_failure_touches_nothing_else() -> None:
    found = world()
    before = {c.type: (c.status, c.reason) for c in found.status.conditions if c.type != "FeaturesReady"}
    objects, reason = found.objects, found.status.reason
    ran(found, bad(4))
    assert {c.type: (c.status, c.reason) for c in found.status.conditions if c.type != "FeaturesReady"} == before
    assert (found.objects, found.status.reason) == (objects, reason)


def test_what_was_said_stays_when_the_jobs_are_forgotten() -> None:
    found = ran(world(), good(4), bad(5))
    before = found.status
    assert ran(found).status == before


def test_at_rest_nothing_is_written() -> None:
    found = ran(world(), good(4), bad(5))
    writes = found.writes
    found.settle()
    assert found.writes == writes


def test_the_next_run_that_writes_makes_it_good_again() -> None:
    found = ran(ran(world(), good(4), bad(5)), good(6), bad(5))
    assert told(found) == ("True", "Materialized")
    assert [note.message for note in found.events if note.reason == "FeaturesMaterialized"][-1].endswith(at(6))


def test_a_run_that_does_not_get_on_is_told_while_it_tries() -> None:
    stuck = Run("m-features-5", "Running", at(5), problem=Problem("MountFailed", 'configmap "definitions" not found'))
    found = ran(world(), good(4), stuck)
    assert told(found) == ("False", "MountFailed")
    assert "m-features-5" in found.condition("FeaturesReady").message
    assert found.think().requeue_after is not None
    assert told(ran(found, good(4), Run("m-features-5", "Running", at(5)))) == ("True", "Materialized")


def test_a_suspended_one_says_so_and_keeps_its_verdict() -> None:
    assert told(world(suspend=True)) == ("Unknown", "Suspended")
    assert told(ran(world(suspend=True), good(4))) == ("True", "Suspended")
    assert told(ran(world(suspend=True), good(4), bad(5))) == ("False", "FeaturesRefused")


def test_without_an_image_a_person_is_told_what_to_set() -> None:
    found = world(images=Images(runtime="runtime:1", router="envoy:1"))
    assert found.of_kind("CronJob") == []
    assert told(found) == ("False", "ToolsImageMissing")
    assert "images.tools" in found.condition("FeaturesReady").message


def test_one_that_the_api_server_refuses_is_told_and_stalls_nothing() -> None:
    found = world()
    found.refused = Problem(REFUSED, "CronJob m-features: unknown time zone Europe/Nowhere")
    found.settle()
    assert told(found) == ("False", REFUSED)
    assert found.condition("Stalled").status == "False"
    assert found.condition("Ready").status == "True"
