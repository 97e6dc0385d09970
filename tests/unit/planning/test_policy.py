"""What a cluster demands of new versions is told before anything is started, and takes nothing away that serves."""

from typing import Any

import pytest

from sluice_operator.planning.policy import Policy

from .world import DIGEST, World, make_spec

SIGNED: dict[str, Any] = {"signature": {"publicKey": {"secretRef": {"name": "team"}}}}
OF_CLUSTER: dict[str, Any] = {"signature": {"publicKey": {"secretRef": {"name": "release"}}}}
MLFLOW = {"uri": "models:/shop/1", "endpoint": "http://mlflow.ml.svc:5000"}

ACCOUNT = "https://ours.blob.core.windows.net"
AZURE = Policy(allowed_stores=("az://models", ACCOUNT))


def model(uri: str = "s3://models/shop/1", **more: Any) -> dict[str, Any]:
    return {"uri": uri, "digest": DIGEST} | more


def told(wanted: dict[str, Any], policy: Policy, world: World | None = None) -> str:
    """The message of the refusal of a spec, empty where it is let in."""
    world = world.ask(model=wanted) if world else World(make_spec(model=wanted))
    world.demands = policy
    status = world.think().status
    stalled = next(one for one in status.conditions if one.type == "Stalled")
    assert (stalled.reason == "PolicyViolation") == (stalled.status == "True")
    return stalled.message if stalled.status == "True" else ""


DEMANDS: dict[str, tuple[dict[str, Any], Policy, str]] = {
    "nothing": ({"uri": "http://store/m.tar.gz"}, Policy(), ""),
    "a digest that is there": (model(), Policy(require_digest=True), ""),
    "a digest that is missing": ({"uri": "s3://models/shop/1"}, Policy(require_digest=True), "spec.model.digest"),
    "a digest of what moves": (
        {"uri": "models:/shop@champion", "endpoint": "http://mlflow:5000", "poll": "1m"},
        Policy(require_digest=True),
        "spec.model.poll",
    ),
    "a signature that is there": (model(**SIGNED), Policy(require_signature=True), ""),
    "a signature that is missing": (model(), Policy(require_signature=True), "spec.model.signature"),
    "the cluster's signature": (model(), Policy(require_signature=True, public_key="release"), ""),
    "the cluster's signature, named": (model(**OF_CLUSTER), Policy(require_signature=True, public_key="release"), ""),
    "another than the cluster's": (
        model(**SIGNED),
        Policy(require_signature=True, public_key="release"),
        "the Secret release",
    ),
    "a store that is allowed": (model(), Policy(allowed_stores=("oci://r", "s3://models/")), ""),
    "a store that is not": (model(), Policy(allowed_stores=("s3://other/",)), "s3://other/"),
    "a server that is allowed": (MLFLOW, Policy(allowed_stores=("models:/", "http://mlflow.ml.svc:5000")), ""),
    "a container of nobody in particular": (model("az://models/shop"), AZURE, "spec.model.endpoint"),
    "a container of an account that is allowed": (model("az://models/shop", endpoint=ACCOUNT), AZURE, ""),
    "a container of another account": (
        model("az://models/shop", endpoint="https://other.blob.core.windows.net"),
        AZURE,
        "https://other.blob.core.windows.net",
    ),
    "a container where all stores are allowed": (model("az://models/shop"), Policy(), ""),
    "a server that is not": (MLFLOW, Policy(allowed_stores=("models:/",)), "spec.model.endpoint"),
}


@pytest.mark.parametrize(("wanted", "policy", "part"), DEMANDS.values(), ids=DEMANDS)
def test_what_a_cluster_demands(wanted: dict[str, Any], policy: Policy, part: str) -> None:
    message = told(wanted, policy)
    assert part in message
    assert bool(part) == bool(message)


BEGINNINGS = {
    "itself": ("s3://models/shop", "s3://models/shop", True),
    "beneath a folder": ("s3://models/", "s3://models/shop/1", True),
    "beneath a bucket": ("s3://models", "s3://models/shop/1", True),
    "another bucket": ("s3://models", "s3://models-of-mine/shop", False),
    "another prefix": ("s3://models/shop", "s3://models/shop-2", False),
    "a tag": ("oci://r.example/shop", "oci://r.example/shop:1", True),
    "a digest": ("oci://r.example/shop", f"oci://r.example/shop@{DIGEST}", True),
    "another registry": ("oci://r.example", "oci://r.example.evil.example/shop:1", False),
    "another port": ("https://store.example", "https://store.example:8443/m.tar.gz", False),
    "a path that climbs": ("https://store.example/ours", "https://store.example/ours/../theirs/m.tar.gz", False),
    "a path that climbs in secret": ("https://store.example/ours", "https://store.example/ours/%2e%2e/m.tar.gz", False),
    "an alias": ("models:/shop", "models:/shop@champion", True),
    "a version": ("models:/shop", "models:/shop/3", True),
    "another model": ("models:/shop", "models:/shops/3", False),
    "an organization": ("hf://ours", "hf://ours/m@main", True),
    "a scheme": ("pvc://", "pvc://claim/m", True),
    "another scheme": ("https://", "http://store.example/m.tar.gz", False),
}


@pytest.mark.parametrize(("beginning", "uri", "within"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_store_is_allowed_by_whole_parts_of_its_uri(beginning: str, uri: str, *, within: bool) -> None:
    asked = {"uri": uri, "digest": DIGEST} | ({"endpoint": "https://e"} if uri.startswith("models:") else {})
    assert (told(asked, Policy(allowed_stores=(beginning, "https://e"))) == "") == within


STRICT = Policy(require_digest=True, require_signature=True, public_key="release", allowed_stores=("oci://r/",))


def test_a_demand_made_later_stops_nothing_that_serves() -> None:
    world = World(make_spec(model=model(**SIGNED))).settle()
    world.demands = STRICT
    decided = world.think()
    assert decided.status == world.status
    assert decided.objects == world.objects


def test_nor_a_rollout_under_way_nor_the_way_back() -> None:
    world = World(make_spec(model=model())).settle().ask(model=model("s3://models/shop/2")).settle()
    assert world.status.canary
    world.demands = STRICT
    assert world.think().status == world.status
    assert told(model(), STRICT, world) == ""


def test_a_version_that_breaks_it_is_refused_and_stable_stays() -> None:
    world = World(make_spec(model=model())).settle().ask(model=model("s3://models/shop/2"))
    world.demands = STRICT
    decided = world.think()
    assert decided.status.canary is None
    assert (decided.status.stable, decided.status.reason) == (world.status.stable, "PolicyViolation")
    assert not [m for m in decided.objects if m["kind"] == "Job"]
    assert next(one for one in decided.status.conditions if one.type == "Ready").status == "True"


def test_the_key_of_the_cluster_is_mounted_into_the_step_that_fetches_alone() -> None:
    world = World(make_spec(model=model()), demands=Policy(require_signature=True, public_key="release"))
    objects = world.think().objects
    (pod,) = (
        m["spec"]["template"]["spec"]
        for m in objects
        if m["kind"] == "Deployment" and "router" not in str(m["metadata"])
    )
    volume = next(one for one in pod["volumes"] if one["name"] == "signature")
    assert volume["secret"] == {"secretName": "release", "items": [{"key": "pub.pem", "path": "public-key.pem"}]}
    (fetch,), (runtime,) = pod["initContainers"], pod["containers"]
    mount = next(one for one in fetch["volumeMounts"] if one["name"] == "signature")
    assert f'"publicKeyFile":"{mount["mountPath"]}/public-key.pem"' in fetch["env"][0]["value"]
    assert "signature" not in [one["name"] for one in runtime["volumeMounts"]]
