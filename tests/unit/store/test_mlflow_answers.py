"""What an MLflow server answers."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sluice.config import RuntimeConfig
from sluice.failures import PackageError, Reason
from sluice.uri import parse_uri
from sluice_store.mlflow import artifact_endpoint, endpoint_of
from sluice_store.mlflow_answers import ListAnswer, Place, VersionAnswer, place_of
from sluice_store.secret import Secret

RUN = "0bf0b6fd0c46415e83c20f24d676b5c4"
# As MLflow 3.16 answers `registered-models/alias`.
ANSWER = f"""{{
  "model_version": {{
    "name": "shop", "version": "1", "creation_timestamp": 1795345418271, "last_updated_timestamp": 1795345418271,
    "current_stage": "None", "description": "", "source": "runs:/{RUN}/package", "run_id": "{RUN}", "status": "READY",
    "tags": [{{"key": "team", "value": "shop"}}, {{"key": "sluice.digest", "value": "sha256:0"}}],
    "run_link": "", "aliases": ["champion"]
  }}
}}"""


def test_a_version_is_read_with_the_digest_in_its_tags() -> None:
    version = VersionAnswer.model_validate_json(ANSWER).model_version
    assert (version.name, version.version, version.status, version.digest) == ("shop", "1", "READY", "sha256:0")
    untagged = VersionAnswer.model_validate_json('{"model_version": {"name": "a", "version": "2"}}').model_version
    assert untagged.digest is None


@pytest.mark.parametrize("version", ["", "../1", "1/2", "latest", "1" * 19])
def test_a_version_is_a_number(version: str) -> None:
    with pytest.raises(ValidationError):
        VersionAnswer.model_validate({"model_version": {"name": "a", "version": version}})


def test_a_listing_of_nothing_has_no_files() -> None:
    assert ListAnswer.model_validate_json("{}").files == ()


@pytest.mark.parametrize(
    ("artifact_uri", "place"),
    [
        (f"mlflow-artifacts:/0/{RUN}/artifacts/package", Place("proxied", f"0/{RUN}/artifacts/package")),
        ("mlflow-artifacts://host:5000/0/a%20b", Place("proxied", "0/a b")),
        (f"runs:/{RUN}/package/deeper", Place("run", "package/deeper", RUN)),
        (f"runs:/{RUN}", Place("run", "", RUN)),
        ("s3://bucket/0/package", Place("store", uri=parse_uri("s3://bucket/0/package"))),
        ("gs://bucket/0/package", Place("store", uri=parse_uri("gs://bucket/0/package"))),
        ("wasbs://box@account.blob.core.windows.net/0/package", Place("store", uri=parse_uri("az://box/0/package"))),
        ("https://host/a.tar.gz", Place("store", uri=parse_uri("https://host/a.tar.gz"))),
    ],
)
def test_where_artifacts_are(artifact_uri: str, place: Place) -> None:
    assert place_of(artifact_uri, "models:/shop/1") == place


@pytest.mark.parametrize(
    ("artifact_uri", "reason"),
    [
        ("mlflow-artifacts:/", Reason.UNSAFE_ARCHIVE),
        ("mlflow-artifacts:/../../etc", Reason.UNSAFE_ARCHIVE),
        ("mlflow-artifacts:/%2e%2e/etc", Reason.UNSAFE_ARCHIVE),
        (f"runs:/{RUN}/../..", Reason.UNSAFE_ARCHIVE),
        ("runs:/elsewhere/package", Reason.INVALID_CONFIG),
        ("file:///etc/passwd", Reason.INVALID_CONFIG),
        ("/mlflow/0/package", Reason.INVALID_CONFIG),
        ("./mlruns/0/package", Reason.INVALID_CONFIG),
        ("pvc://claim/package", Reason.INVALID_CONFIG),
        ("models:/m-1234", Reason.INVALID_CONFIG),
        ("models:/other/1", Reason.INVALID_CONFIG),
        ("oci://host/name", Reason.INVALID_CONFIG),
        ("dbfs:/databricks/package", Reason.INVALID_CONFIG),
        ("wasbs://account.blob.core.windows.net/x", Reason.INVALID_CONFIG),
    ],
)
def test_places_that_no_pod_may_read_are_refused(artifact_uri: str, reason: Reason) -> None:
    with pytest.raises(PackageError) as caught:
        place_of(artifact_uri, "models:/shop/1")
    assert caught.value.reason is reason


def test_the_server_is_named_by_the_spec_or_by_the_environment() -> None:
    bare = RuntimeConfig(name="shop", uri="models:/shop/1")
    told = RuntimeConfig.model_validate({**bare.model_dump(), "store": {"endpoint": "http://mlflow:5000/"}})
    environ = {"MLFLOW_TRACKING_URI": "https://other"}
    assert endpoint_of(told, environ) == "http://mlflow:5000"
    assert endpoint_of(bare, environ) == "https://other"
    for without in ({}, {"MLFLOW_TRACKING_URI": "databricks"}, {"MLFLOW_TRACKING_URI": "file:///mlruns"}):
        with pytest.raises(PackageError) as caught:
            endpoint_of(bare, without)
        assert caught.value.reason is Reason.INVALID_CONFIG


def test_the_store_of_the_artifacts_has_an_endpoint_of_its_own(tmp_path: Path) -> None:
    environ = {"AWS_ENDPOINT_URL": "http://environment"}
    s3, gs = parse_uri("s3://bucket/key"), parse_uri("gs://bucket/key")
    assert artifact_endpoint(s3, Secret(tmp_path), {}) is None
    assert artifact_endpoint(s3, Secret(tmp_path), environ) == "http://environment"
    (tmp_path / "MLFLOW_S3_ENDPOINT_URL").write_text("http://secret")
    assert artifact_endpoint(s3, Secret(tmp_path), environ) == "http://secret"
    assert artifact_endpoint(gs, Secret(tmp_path), environ) is None
