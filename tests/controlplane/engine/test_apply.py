"""Only what differs is written, only what is ours is touched."""

from typing import Any

import pytest

from controlplane.engine import children
from controlplane.engine.conftest import Workbench
from sluice_operator.cluster.cache import Key
from sluice_operator.cluster.errors import Conflict, Gone, Refused
from sluice_operator.cluster.kinds import CHILDREN, DEPLOYMENT, SERVICE
from support.kube import Object


def annotate(bench: Workbench, kind: str, name: str, value: str) -> None:
    bench.kube.run("annotate", "--overwrite", kind, name, f"example.com/mark={value}")


def names_of(bench: Workbench, kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in bench.kube.select(kind)} - {"kube-root-ca.crt"}


async def test_a_child_of_every_kind_is_written_once(bench: Workbench) -> None:
    resource = await bench.resource("one")
    plan = children.plan(*children.one_of_each(resource))
    assert await bench.writes_of(resource, plan) == len(CHILDREN)
    assert await bench.writes_of(resource, plan) == 0


async def test_what_the_server_added_or_respelled_is_not_written_again_by_a_new_operator(bench: Workbench) -> None:
    resource = await bench.resource("one")
    plan = children.plan(*children.one_of_each(resource))
    await bench.cluster.apply(resource, plan)
    restarted = Workbench(bench.kube, bench.client)
    await restarted.look()
    assert await restarted.writes_of(resource, plan) == 0


async def test_a_changed_wish_is_written_and_a_dropped_field_is_dropped(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(children.config_map(resource, a="1", b="2")))
    changed = children.plan(children.config_map(resource, a="1"))
    assert await bench.writes_of(resource, changed) == 1
    assert bench.kube.get("configmap", "c")["data"] == {"a": "1"}


async def test_a_job_that_cannot_be_changed_is_made_anew(bench: Workbench) -> None:
    """As when another operator, of another default image, goes on with what one before it has begun."""
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(children.job(resource)))
    before = bench.kube.get("job", "j")["metadata"]["uid"]
    changed = children.plan(children.job(resource, image="new"))
    await bench.cluster.apply(resource, changed)
    assert names_of(bench, "job") == set()
    await bench.cluster.apply(resource, changed)
    found = bench.kube.get("job", "j")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "new"
    assert found["metadata"]["uid"] != before
    impossible = children.plan(children.job(resource, "other", image=""))
    with pytest.raises(Refused):
        await bench.cluster.apply(resource, impossible)


async def test_what_somebody_changed_is_put_right(bench: Workbench) -> None:
    resource = await bench.resource("one")
    plan = children.plan(children.deployment(resource))
    await bench.cluster.apply(resource, plan)
    bench.kube.run("set", "image", "deployment/d", "runtime=evil")
    await bench.look()
    assert await bench.writes_of(resource, plan) == 1
    template = bench.kube.get("deployment", "d")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "img"


async def test_what_somebody_added_beside_ours_stays_and_costs_no_writes(bench: Workbench) -> None:
    resource = await bench.resource("one")
    plan = children.plan(children.deployment(resource))
    await bench.cluster.apply(resource, plan)
    annotate(bench, "deployment", "d", "theirs")
    bench.kube.run("set", "env", "deployment/d", "EXTRA=1")
    await bench.look()
    assert await bench.writes_of(resource, plan) == 0
    assert bench.kube.get("deployment", "d")["metadata"]["annotations"]["example.com/mark"] == "theirs"


async def test_replicas_are_scaled_and_never_applied(bench: Workbench) -> None:
    resource = await bench.resource("one")
    scaled = children.plan(children.deployment(resource), scales={"d": 3})
    assert await bench.writes_of(resource, scaled) == 2
    assert await bench.writes_of(resource, scaled) == 0
    # An autoscaler owns the number from here on; a new image must not reset it.
    bench.kube.run("scale", "deployment/d", "--replicas=7")
    await bench.look()
    await bench.cluster.apply(resource, children.plan(children.deployment(resource, image="new")))
    assert bench.kube.get("deployment", "d")["spec"]["replicas"] == 7


async def test_scaling_what_the_plan_does_not_have_is_no_error(bench: Workbench) -> None:
    resource = await bench.resource("one")
    assert await bench.writes_of(resource, children.plan(scales={"not-there": 3})) == 0


async def test_leftovers_are_pruned(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(*children.one_of_each(resource)))
    keep = children.plan(children.service(resource))
    assert await bench.writes_of(resource, keep) == len(CHILDREN) - 1
    assert await bench.writes_of(resource, keep) == 0
    assert names_of(bench, "service") == {"s"}
    assert names_of(bench, "configmap") == set()
    assert names_of(bench, "deployment") == set()


async def test_nothing_is_pruned_where_the_plan_says_so(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(children.config_map(resource)))
    assert await bench.writes_of(resource, children.plan(prune=False)) == 0


def foreign_config_maps(resource: Any) -> list[Object]:
    """Objects that look like ours in one respect and are not."""
    ours = children.config_map(resource)
    labels, owners = ours["metadata"]["labels"], ours["metadata"]["ownerReferences"]
    other = [{**owners[0], "uid": "00000000-0000-0000-0000-000000000000"}]
    managed = {key: value for key, value in labels.items() if key != "app.kubernetes.io/managed-by"}
    by_metadata = {
        "labels-only": {"labels": labels},
        "another-uid": {"labels": labels, "ownerReferences": other},
        "managed-by-another": {"labels": {**managed, "app.kubernetes.io/managed-by": "x"}, "ownerReferences": owners},
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
        for name, metadata in by_metadata.items()
    ]


async def test_what_is_not_ours_is_never_pruned(bench: Workbench) -> None:
    resource = await bench.resource("one")
    foreign = foreign_config_maps(resource)
    bench.kube.apply(*foreign)
    await bench.look()
    assert await bench.writes_of(resource, children.plan()) == 0
    assert names_of(bench, "configmap") == {obj["metadata"]["name"] for obj in foreign}


async def test_an_object_of_the_same_name_that_is_somebody_elses_is_refused_and_untouched(bench: Workbench) -> None:
    resource = await bench.resource("one")
    theirs = {"ports": [{"port": 5432}], "selector": {"app": "database"}}
    bench.kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": theirs})
    with pytest.raises(Refused, match="Service s: an object of this name exists and belongs to somebody else"):
        await bench.cluster.apply(resource, children.plan(children.service(resource)))
    assert bench.kube.get("service", "s")["spec"]["selector"] == {"app": "database"}


async def test_children_of_a_former_resource_of_the_same_name_are_waited_out(bench: Workbench) -> None:
    former = await bench.resource("one")
    await bench.cluster.apply(former, children.plan(children.service(former)))
    bench.kube.delete("mdep", "one")
    bench.create("one")
    again = Workbench(bench.kube, bench.client)
    resource = await again.resource("one")
    assert resource.uid != former.uid
    with pytest.raises(Conflict, match="still being deleted"):
        await again.cluster.apply(resource, children.plan(children.service(resource)))


INVALID = {
    "a quantity that is none": ({"resources": {"requests": {"cpu": "lots"}}}, "quantities must match"),
    "a field that does not exist": ({"gpu": 1}, "gpu"),
    "a value of the wrong type": ({"ports": "8080"}, "ports"),
    "a value out of range": ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy"),
}


@pytest.mark.parametrize(("container", "said"), INVALID.values(), ids=INVALID)
async def test_what_the_server_finds_invalid_is_refused_with_its_words(
    bench: Workbench, container: dict[str, Any], said: str
) -> None:
    resource = await bench.resource("one")
    manifest = children.deployment(resource)
    manifest["spec"]["template"]["spec"]["containers"][0].update(container)
    with pytest.raises(Refused, match=said) as refused:
        await bench.cluster.apply(resource, children.plan(manifest))
    assert (refused.value.kind, refused.value.name) == ("Deployment", "d")


async def test_a_dry_run_is_judged_and_leaves_nothing(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.dry_run([children.deployment(resource)])
    with pytest.raises(Refused):
        await bench.cluster.dry_run([children.deployment(resource, cpu="-1")])
    assert names_of(bench, "deployment") == set()


async def test_a_namespace_that_ends_is_left_in_peace(bench: Workbench) -> None:
    resource = await bench.resource("one")
    bench.kube.run("delete", "namespace", bench.kube.namespace, "--wait=false")
    with pytest.raises(Gone):
        await bench.cluster.apply(resource, children.plan(children.service(resource)))


async def test_our_own_write_is_known_before_the_watch_shows_it(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(children.service(resource), children.deployment(resource)))
    held = bench.cache.get(SERVICE, bench.kube.namespace, "s")
    assert held is not None
    assert held["metadata"]["resourceVersion"] == bench.kube.get("service", "s")["metadata"]["resourceVersion"]
    assert len(bench.cache.owned(DEPLOYMENT, Key(bench.kube.namespace, "one"))) == 1


def router_pod(resource: Any, name: str) -> Object:
    labels = children.config_map(resource)["metadata"]["labels"]
    spec = {"containers": [{"name": "envoy", "image": "img"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


async def test_router_pods_are_told_their_version_once(bench: Workbench) -> None:
    resource = await bench.resource("one")
    bench.kube.apply(router_pod(resource, "p1"), router_pod(resource, "p2"))
    await bench.look()
    told = children.plan(router_version="v1")
    assert await bench.writes_of(resource, told) == 2
    assert await bench.writes_of(resource, told) == 0
    assert bench.kube.get("pod", "p1")["metadata"]["annotations"]["sluice.dev/config-version"] == "v1"


async def test_a_router_pod_that_went_meanwhile_is_no_error(bench: Workbench) -> None:
    resource = await bench.resource("one")
    bench.kube.apply(router_pod(resource, "p1"))
    await bench.look()
    bench.kube.run("delete", "pod", "p1", "--force", "--grace-period=0")
    await bench.cluster.apply(resource, children.plan(router_version="v1"))


async def test_a_cron_job_that_the_server_refuses_keeps_nothing_else_from_being_done(bench: Workbench) -> None:
    resource = await bench.resource("one")
    await bench.cluster.apply(resource, children.plan(children.config_map(resource)))
    asked = children.plan(children.cron_job(resource, schedule="whenever"), children.service(resource))
    with pytest.raises(Refused, match="CronJob t"):
        await bench.cluster.apply(resource, asked)
    assert names_of(bench, "service") == {"s"}
    assert names_of(bench, "configmap") == set()
