"""The settings contract between operator and runtime: nothing lost, nothing added, nothing silently accepted."""

import json

import pytest
from pydantic import ValidationError

from sluice.config import Batching, Limits, RuntimeConfig

DIGEST = "sha256:" + "a" * 64


def test_a_config_survives_the_environment_variable() -> None:
    config = RuntimeConfig(
        name="shop",
        uri="https://store.example/shop.tar.gz",
        digest=DIGEST,
        batching=Batching(max_size=8),
        limits=Limits(max_queue=7),
    )
    assert RuntimeConfig.from_env({"SLUICE_CONFIG": config.to_env_value()}) == config


def test_defaults_are_left_out_so_that_a_new_field_changes_no_old_pod() -> None:
    config = RuntimeConfig(name="shop", uri="pvc://models/shop", batching=Batching(max_size=64))
    assert json.loads(config.to_env_value()) == {"name": "shop", "uri": "pvc://models/shop"}


def test_equal_settings_give_equal_text_whatever_the_order_they_were_written_in() -> None:
    one = RuntimeConfig.model_validate({"uri": "file:///p", "name": "a", "port": 9})
    other = RuntimeConfig.model_validate({"port": 9, "name": "a", "uri": "file:///p"})
    assert one.to_env_value() == other.to_env_value() == '{"name":"a","port":9,"uri":"file:///p"}'


@pytest.mark.parametrize(
    "change",
    [
        {"portt": 1},
        {"digest": "sha256:abc"},
        {"uri": "ftp://host/x"},
        {"batching": {"maxSize": 0}},
        {"limits": {"deadlineSeconds": float("inf")}},
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RuntimeConfig.model_validate({"name": "a", "uri": "file:///p", **change})


def test_a_config_cannot_be_changed() -> None:
    config = RuntimeConfig(name="a", uri="file:///p")
    with pytest.raises(ValidationError):
        setattr(config, "port", 1)  # noqa: B010 - the type checker knows already


@pytest.mark.parametrize(
    "fields",
    [{"publicKeyFile": "/k/pub.pem"}, {"identity": "a@b.c", "issuer": "https://i"}],
)
def test_a_signature_is_by_a_key_or_by_an_identity(fields: dict[str, str]) -> None:
    config = RuntimeConfig.model_validate({"name": "m", "uri": "https://host/m.tar.gz", "signature": fields})
    assert RuntimeConfig.from_env({"SLUICE_CONFIG": config.to_env_value()}) == config


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"identity": "a@b.c"},
        {"issuer": "https://i"},
        {"publicKeyFile": "/k/pub.pem", "identity": "a@b.c"},
        {"publicKeyFile": "/k/pub.pem", "identity": "a@b.c", "issuer": "https://i"},
        {"trustFile": "/k/trust.json"},
        {"publicKeyFile": "/k/pub.pem", "trustFile": "/k/trust.json"},
    ],
)
def test_a_signature_that_nothing_could_verify_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="publicKeyFile"):
        RuntimeConfig.model_validate({"name": "m", "uri": "https://host/m.tar.gz", "signature": fields})
