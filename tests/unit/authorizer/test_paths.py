"""Which requests ask for a prediction: agreed with the runtime's own methods, and closed to everything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_authorizer.outcomes import Refusal
from sluice_authorizer.paths import Form, form_of
from sluice_runtime.protocol.grpc import REFLECTIONS, SERVICE, Reading
from sluice_runtime.protocol.health import NAME as HEALTH


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("POST", b"/v2/models/m/infer", Form.REST),
        ("POST", b"/v2/models/m/infer/", Form.REST),
        ("POST", b"/v2/models/m/versions/3/infer", Form.REST),
        ("POST", b"/inference.GRPCInferenceService/ModelInfer", Form.GRPC),
        ("GET", b"/v2/models/m", None),
        ("GET", b"/v2/models/m/infer", None),
        ("HEAD", b"/v2", None),
        ("OPTIONS", b"/v2/models/m/infer", None),
        ("POST", b"/v2/repository/index", None),
    ],
)
def test_the_protocols_own_requests(method, path, form):
    assert form_of(method, path) is form


def test_every_method_that_reads_is_known():
    names = [f"{SERVICE}/{name}" for name in Reading(None).methods()]  # type: ignore[arg-type]  # its methods' names
    names += [f"{HEALTH}/Check", f"{HEALTH}/Watch", *(f"{name}/ServerReflectionInfo" for name in REFLECTIONS)]
    assert all(form_of("POST", f"/{name}".encode()) is None for name in names)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "post", "Get", ""])
def test_other_methods_are_refused(method):
    assert isinstance(form_of(method, b"/v2/models/m/infer"), Refusal)


@pytest.mark.parametrize(
    "path",
    [
        b"/v2/models/m/infer//",
        b"/v2/models//infer",
        b"/v2//models/m/infer",
        b"/V2/models/m/infer",
        b"/v2/models/m/Infer",
        b"/v2/models/m/infer;x",
        b"/v2/models/m/infer\x00",
        b"/v2/models/m/x/../infer",
        b"/inference.GRPCInferenceService/modelinfer",
        b"/inference.GRPCInferenceService/ModelInfer/",
        b"/inference.GRPCInferenceService/ModelStreamInfer",
        b"/v2/models/m/feedback",
        b"",
    ],
)
def test_what_is_only_like_a_path_of_the_protocol_is_refused(path):
    assert isinstance(form_of("POST", path), Refusal)


@given(st.binary(max_size=60))
def test_no_post_is_taken_for_reading(path):
    found = form_of("POST", b"/" + path)
    assert found is not None
