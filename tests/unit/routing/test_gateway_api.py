"""Routes at a gateway: whole as golden files, and what they must never say."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_operator.api.matching import Match, Sticky
from sluice_operator.api.resource import ModelDeployment
from sluice_operator.routing import gateway_api
from sluice_operator.routing.base import Attached, Copied, Matched, Parent, Traffic
from sluice_operator.routing.gateway_matching import carries
from support.golden import compare

GOLDEN = Path(__file__).parent / "golden" / "gateway"
STABLE, CANARY = "0123456789", "abcdef0123"
AT = Attached(
    (Parent("public", "gateways", "https"), Parent("internal")), ("store-revenue.example.com",), ("grpc.example.com",)
)
KNOWN = Traffic("shop", "store-revenue", {STABLE: 100}, (STABLE, CANARY), gateway=AT)
MATCHES = (
    Match.model_validate({"header": {"name": "X-Tester", "value": "yes"}}),
    Match.model_validate({"header": {"name": "x-team", "regex": "shop-.*"}, "cookie": {"name": "t", "present": True}}),
)

CASES = {
    "nothing-ready": Traffic("shop", "store-revenue", {}, (CANARY,), gateway=Attached((Parent("public"),))),
    "canary-known": KNOWN,
    "canary-tested": replace(KNOWN, testers=Matched(CANARY, MATCHES)),
    "canary-mirrored": replace(KNOWN, mirror=Copied(CANARY, 40)),
    "canary-weighted": replace(KNOWN, weights={STABLE: 90, CANARY: 10}),
    "named": replace(KNOWN, weights={STABLE: 90, CANARY: 10}, gateway=replace(AT, named=True)),
}


def http_rules(traffic: Traffic, owner: ModelDeployment) -> Any:
    return gateway_api.manifests(owner, traffic, "")[0]["spec"]["rules"]


@pytest.mark.parametrize("case", CASES)
def test_the_routes_are_written_as_the_golden_file_says(case: str, owner: ModelDeployment) -> None:
    compare(GOLDEN / f"{case}.yaml", list(gateway_api.manifests(owner, CASES[case], "")))


def test_all_requests_are_copied_without_a_number_that_a_gateway_would_have_to_know(owner: ModelDeployment) -> None:
    (rule,) = http_rules(replace(KNOWN, mirror=Copied(CANARY, 100)), owner)
    assert "percent" not in rule["filters"][-1]["requestMirror"]


def test_the_split_keeps_its_place_whoever_comes_and_goes(owner: ModelDeployment) -> None:
    for traffic in CASES.values():
        for route in gateway_api.manifests(owner, traffic, ""):
            assert all("headers" not in match for match in route["spec"]["rules"][0]["matches"])


def test_without_names_for_grpc_there_is_no_route_for_it(owner: ModelDeployment) -> None:
    traffic = replace(KNOWN, gateway=replace(AT, grpc_hostnames=()))
    assert [route["kind"] for route in gateway_api.manifests(owner, traffic, "")] == ["HTTPRoute"]


def test_the_version_tells_splits_apart_and_stands_beside_them(owner: ModelDeployment) -> None:
    versions = {gateway_api.version(traffic) for traffic in CASES.values()}
    assert len(versions) == len(CASES)
    for route in gateway_api.manifests(owner, KNOWN, ""):
        assert route["metadata"]["annotations"]["sluice.dev/config-version"] == gateway_api.version(KNOWN)
        assert route["metadata"]["annotations"]["sluice.dev/weights"] == f'{{"{STABLE}":100}}'


def test_what_no_gateway_does_is_never_left_out_silently() -> None:
    with pytest.raises(ValueError, match="no gateway"):
        gateway_api.version(replace(KNOWN, sticky=Sticky(header="x-user")))


def test_the_routes_survive_a_round_trip(owner: ModelDeployment) -> None:
    for route in gateway_api.manifests(owner, KNOWN, ""):
        assert yaml.safe_load(yaml.safe_dump(route)) == route


def regex_of(cookie: dict[str, Any]) -> str:
    (header,) = carries(Match.model_validate({"cookie": cookie}))
    assert (header["type"], header["name"]) == ("RegularExpression", "cookie")
    return str(header["value"])


@pytest.mark.parametrize("search", ["match", "fullmatch", "search"], ids=["prefix", "whole", "anywhere"])
@pytest.mark.parametrize(
    ("cookie", "sent", "found"),
    [
        ({"name": "t", "value": "a.b"}, "t=a.b", True),
        ({"name": "t", "value": "a.b"}, "s=1; t=a.b; u=2", True),
        ({"name": "t", "value": "a.b"}, "t=axb", False),
        ({"name": "t", "value": "a"}, "t=ab", False),
        ({"name": "t", "value": "a"}, "st=a", False),
        ({"name": "t.x", "value": "a"}, "tyx=a", False),
        ({"name": "t", "present": True}, "s=1; t=", True),
        ({"name": "t", "present": True}, "s=t", False),
        ({"name": "t", "regex": "a|bc"}, "t=bc; s=1", True),
        ({"name": "t", "regex": "a|bc"}, "t=abc", False),
    ],
)
def test_a_cookie_is_found_among_others_however_a_gateway_reads_regular_expressions(
    cookie: dict[str, Any], sent: str, found: bool, search: str
) -> None:
    assert (getattr(re, search)(regex_of(cookie), sent) is not None) is found
