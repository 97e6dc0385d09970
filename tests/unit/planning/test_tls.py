"""What status says of the endpoint's certificate, and when it is looked at again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sluice_operator.planning.observed import Certificate, Observed

from .world import START, World, make_spec

TLS = {"tls": {"secretRef": {"name": "shop-tls"}}}
GOOD = Certificate((START + timedelta(days=60)).timestamp())


class Secured(World):
    """Routers with these certificates."""

    certificates: tuple[Certificate | None, ...] = (GOOD, GOOD)

    def observe(self) -> Observed:
        seen = super().observe()
        pods = zip(seen.router.pods, self.certificates, strict=True)
        return replace(
            seen, router=replace(seen.router, pods=tuple(replace(pod, certificate=found) for pod, found in pods))
        )


def secured(endpoint: dict[str, Any], *certificates: Certificate | None) -> Secured:
    world = Secured(make_spec(endpoint=endpoint))
    world.certificates = certificates
    return world.settle()  # type: ignore[return-value]


def test_without_tls_nothing_is_said_of_it() -> None:
    world = World(make_spec()).settle()
    assert "TLSReady" not in [condition.type for condition in world.status.conditions]
    assert world.status.url == "http://m.shop.svc"


def test_with_a_certificate_on_every_router_it_is_ready() -> None:
    world = secured(TLS, GOOD, GOOD)
    condition = world.condition("TLSReady")
    assert (condition.status, condition.reason) == ("True", "CertificateLoaded")
    assert "valid until 2026-03-02" in condition.message
    assert world.status.url == "https://m.shop.svc"
    assert world.think().requeue_after is None


@pytest.mark.parametrize(
    ("certificates", "reason", "told"),
    [
        ((GOOD, None), "CertificateMissing", "1 of 2 routers have a certificate: is there a Secret shop-tls"),
        ((None, None), "CertificateMissing", "0 of 2"),
        ((GOOD, Certificate((START + timedelta(days=2)).timestamp())), "CertificateExpiring", "2026-01-03"),
        ((GOOD, Certificate((START - timedelta(days=1)).timestamp())), "CertificateExpired", "2025-12-31"),
    ],
)
def test_what_is_wrong_is_told(certificates: Any, reason: str, told: str) -> None:
    condition = secured(TLS, *certificates).condition("TLSReady")
    assert (condition.status, condition.reason) == ("False", reason)
    assert told in condition.message


def test_a_certificate_that_was_not_taken_is_told() -> None:
    condition = secured(TLS, GOOD, replace(GOOD, refused=1)).condition("TLSReady")
    assert condition.status == "True"
    assert "was broken and was not taken" in condition.message


def test_a_missing_certificate_is_looked_for_again() -> None:
    assert secured(TLS, GOOD, None).think().requeue_after == 5.0


@pytest.mark.parametrize(("http", "ready"), [("Enabled", "True"), ("Disabled", "False")])
def test_without_any_certificate_a_model_that_answers_over_tls_alone_is_not_ready(http: str, ready: str) -> None:
    assert secured({**TLS, "http": http}, None, None).condition("Ready").status == ready


def test_turning_tls_on_restarts_no_model_pod() -> None:
    world = World(make_spec()).settle()
    before = [found for found in world.of_kind("Deployment") if found["metadata"]["name"] != "m-router"]
    world.ask(endpoint=TLS).settle()
    assert [found for found in world.of_kind("Deployment") if found["metadata"]["name"] != "m-router"] == before
