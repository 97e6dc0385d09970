"""A resource is parsed once, at the edge; a status that cannot be read must not stop everything."""

from typing import Any

from sluice_operator.api.resource import ModelDeployment
from sluice_operator.api.status import ModelDeploymentStatus


def body(status: Any) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "m", "uid": "u", "resourceVersion": "7", "generation": 2}
    return {"metadata": metadata, "spec": {"model": {"uri": "http://store/m.tar.gz"}}, "status": status}


def test_fields_of_another_operator_version_are_passed_over() -> None:
    parsed = ModelDeployment.parse(body({"url": "http://m.shop.svc", "inventedLater": {"x": 1}}))
    assert parsed.status.url == "http://m.shop.svc"


def test_a_status_that_cannot_be_read_counts_as_lost() -> None:
    parsed = ModelDeployment.parse(body({"stable": {"revision": "only-this"}}))
    assert parsed.status == ModelDeploymentStatus()
