"""Flags win over the environment, which wins over defaults."""

from typing import Any

import pytest

from sluice_operator.settings import parse

IMAGES = {"SLUICE_RUNTIME_IMAGE": "run:1", "SLUICE_ROUTER_IMAGE": "route:1"}


def test_the_environment_alone_suffices() -> None:
    settings = parse([], {**IMAGES, "SLUICE_NAMESPACES": "b, a,,a", "SLUICE_METRICS_PORT": "9000"})
    assert (settings.runtime_image, settings.router_image) == ("run:1", "route:1")
    assert settings.namespaces == ("a", "b")
    assert settings.metrics_port == 9000
    assert settings.kubeconfig is None


def test_no_namespace_means_all() -> None:
    assert parse([], IMAGES).namespaces == ()


def test_a_flag_wins() -> None:
    assert parse(["--runtime-image", "run:2", "--workers", "3"], IMAGES).runtime_image == "run:2"


@pytest.mark.parametrize("arguments", [["--log-level", "loud"], ["--workers", "many"], ["--nonsense"]])
def test_what_makes_no_sense_is_refused(arguments: Any) -> None:
    with pytest.raises(SystemExit):
        parse(arguments, IMAGES)


def test_an_image_for_gpus_may_be_missing() -> None:
    assert parse([], IMAGES).runtime_gpu_image == ""
    assert parse([], {**IMAGES, "SLUICE_RUNTIME_GPU_IMAGE": "gpu:1"}).runtime_gpu_image == "gpu:1"


def test_images_are_needed() -> None:
    with pytest.raises(SystemExit):
        parse([], {})


def test_the_dashboard_has_an_address_or_is_not_served() -> None:
    assert parse([], IMAGES).dashboard is None
    assert parse([], {**IMAGES, "SLUICE_DASHBOARD": "127.0.0.1:8081"}).dashboard == ("127.0.0.1", 8081)
    with pytest.raises(SystemExit):
        parse(["--dashboard", "here"], IMAGES)


def test_routers_send_spans_where_a_collector_is_named() -> None:
    assert parse([], IMAGES).tracing_endpoint is None
    settings = parse(["--tracing-sampling-percent", "0.5"], {**IMAGES, "SLUICE_TRACING_ENDPOINT": "collector.obs:4318"})
    assert (settings.tracing_endpoint, settings.tracing_sampling_percent) == (("collector.obs", 4318), 0.5)


@pytest.mark.parametrize("arguments", [["--tracing-endpoint", "here"], ["--tracing-sampling-percent", "101"]])
def test_a_collector_without_a_port_or_more_than_every_request_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments, IMAGES)


def test_routers_ask_an_authorizer_where_one_is_named() -> None:
    assert parse([], IMAGES).authorizer is None
    named = parse([], {**IMAGES, "SLUICE_AUTHORIZER": "sluice-authorizer.sluice-system.svc:8080"})
    assert named.authorizer == ("sluice-authorizer.sluice-system.svc", 8080)
    with pytest.raises(SystemExit):
        parse(["--authorizer", "somebody"], IMAGES)


def test_nothing_is_demanded_of_new_versions_unless_it_is_said() -> None:
    chosen = parse([], IMAGES)
    assert (chosen.require_digest, chosen.require_signature, chosen.public_key) == (False, False, "")
    said = parse([], {**IMAGES, "SLUICE_REQUIRE_DIGEST": "true", "SLUICE_ALLOWED_STORES": "s3://a/, hf://b"})
    assert (said.require_digest, said.allowed_stores) == (True, ("hf://b", "s3://a/"))
    with pytest.raises(SystemExit):
        parse(["--require-signature", "perhaps"], IMAGES)


def test_pull_secrets_are_names() -> None:
    assert parse([], IMAGES).pull_secrets == ()
    assert parse(["--pull-secrets", "mirror, other,"], IMAGES).pull_secrets == ("mirror", "other")
