"""What a gRPC caller may ask of one pod, and what happens to one that breaks the rules: it alone suffers."""

import concurrent.futures
import gzip
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from runtime.harness import PATIENCE, SERVING, Running, config_for, eventually, package_of, serving
from runtime.http2_raw import call, dial, ended, head, message, read_until
from runtime.models import as_slow_as_asked
from runtime.raw import BODY
from runtime.test_observability import TRACEPARENT, log_of
from runtime.test_protocol_grpc import RAW, Client, X, ask_slowly, in_flight, tensor
from sluice_runtime.http2.frames import CONTINUATION, DATA, HEADERS, PING, Code, frame, rst_stream
from sluice_runtime.protocol.pb import open_inference_pb2 as pb

LIMITS = {"maxBodyBytes": 200_000, "maxBufferedBytes": 300_000, "headSeconds": 1, "deadlineSeconds": 2}
INFER = pb.ModelInferRequest(model_name="shop", inputs=[tensor(*X)], raw_input_contents=RAW).SerializeToString()


def refused(status: int) -> bytes:
    return b"grpc-status" + bytes((len(str(status)),)) + str(status).encode()


@pytest.fixture(scope="module")
def tight(trained_package: Path) -> Iterator[Running]:
    with serving(config_for(trained_package, limits=LIMITS)) as running:
        yield running


def whole(number: int, data: bytes, block: bytes) -> bytes:
    return call(number, block) + frame(DATA, 1, number, data)


@pytest.mark.parametrize(
    ("block", "data", "wanted"),
    [
        (head(verb=b"GET"), b"", b":status\x03405"),
        (head("ModelInfer", (b"content-type", b"text/plain")), b"", b":status\x03415"),
        (head("ModelInfer", (b"content-type", b"application/grpc+json")), b"", b":status\x03415"),
        (head("ModelFly"), message(b""), refused(12)),
        (head(service="other.Service"), message(b""), refused(12)),
        (head("ModelInfer", (b"grpc-encoding", b"snappy")), message(b"", 1), b"grpc-accept-encoding"),
        (head("ModelInfer", (b"grpc-timeout", b"soon")), message(INFER), refused(3)),
        (head("ModelInfer", (b"grpc-timeout", b"0m")), message(INFER), refused(4)),
        (head(), b"", refused(12)),
        (head(), message(b"") * 2, refused(12)),
        (head(), message(INFER)[:-1], refused(13)),
        (head(), message(INFER, 1), refused(13)),
        (head(), message(INFER, 2), refused(13)),
        (head(), message(b"\xff\xff"), refused(3)),
        (head("ModelInfer", (b"grpc-encoding", b"gzip")), message(b"rubbish", 1), refused(3)),
        (head("ModelInfer", (b"grpc-encoding", b"gzip")), message(gzip.compress(bytes(10**6)), 1), refused(8)),
        (head("ModelInfer", (b"grpc-encoding", b"gzip")), message(gzip.compress(bytes(10**7)), 1), refused(8)),
        (head("ModelInfer", (b"grpc-encoding", b"gzip")), message(gzip.compress(INFER), 1), refused(0)),
        (head("ModelInfer", (b"content-type", b"application/grpc+proto")), message(INFER), refused(0)),
    ],
)
def test_a_call_ends_as_the_protocol_says(block: bytes, data: bytes, wanted: bytes, tight: Running) -> None:
    with dial(tight) as line:
        line.sendall(whole(1, data, block))
        read_until(line, wanted)
        line.sendall(whole(3, message(INFER), head()))
        read_until(line, refused(0))


def test_a_message_in_single_bytes_and_frames_is_understood(tight: Running) -> None:
    with dial(tight) as line:
        data = message(INFER)
        sent = call(1, head()) + b"".join(frame(DATA, 0, 1, data[at : at + 1]) for at in range(len(data)))
        for at in range(0, len(sent), 7):
            line.sendall(sent[at : at + 7])
        line.sendall(frame(DATA, 1, 1))
        read_until(line, refused(0))


def test_a_message_that_is_announced_too_large_is_refused_before_it_comes(tight: Running) -> None:
    before = tight.metrics().get('sluice_requests_total{code="413",model="shop",revision=""}', 0)
    with dial(tight) as line:
        line.sendall(call(1, head()) + frame(DATA, 0, 1, b"\0" + (200_001).to_bytes(4, "big")))
        read_until(line, refused(8))
    assert tight.metrics()['sluice_requests_total{code="413",model="shop",revision=""}'] == before + 1


def test_messages_beyond_what_all_may_hold_together_are_refused(tight: Running) -> None:
    half = b"\0" + (190_000).to_bytes(4, "big") + bytes(16_000)
    more = b"".join(frame(DATA, 0, 1, bytes(16_000)) for _ in range(10))
    with dial(tight) as first, dial(tight) as second:
        for line in (first, second):
            line.sendall(call(1, head()) + frame(DATA, 0, 1, half) + more)
        eventually(
            lambda: tight.metrics().get('sluice_rejections_total{model="shop",reason="memory",revision=""}') == 1
        )
    eventually(lambda: tight.client.post("/v2/models/shop/infer", content=BODY).status_code == 200)


def test_a_call_that_trickles_is_ended_in_time_and_a_head_that_trickles_with_its_connection(tight: Running) -> None:
    with dial(tight) as line:
        line.sendall(call(1, head()) + frame(DATA, 0, 1, b"\0\0"))
        read_until(line, refused(4))
        line.sendall(frame(HEADERS, 0, 3, head()))
        assert b"too long to arrive" in ended(line)


FLOODS = {
    "rapid reset": b"".join(call(n, head()) + rst_stream(n, Code.CANCEL) for n in range(1, 20_001, 2)),
    "continuations": frame(HEADERS, 0, 1, head()) + frame(CONTINUATION, 0, 1, bytes(16_000)) * 1000,
    "pings": frame(PING, 0, 0, bytes(8)) * 100_000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_costs_its_sender_the_connection_and_others_nothing(name: str, tight: Running) -> None:
    client = Client(tight)
    client.infer(X, raw=RAW)
    before = tight.memory()
    for _ in range(5):
        with dial(tight) as line:
            try:
                line.sendall(FLOODS[name])
            except ConnectionError:
                continue
            ended(line)
    client.infer(X, raw=RAW)
    assert tight.memory() - before < 20 * 2**20
    assert tight.metrics()['sluice_requests_in_flight{model="shop",revision=""}'] == 0
    client.channel.close()


def test_a_caller_says_in_the_request_how_long_it_waits(tmp_path: Path) -> None:
    with serving(config_for(package_of(as_slow_as_asked(), tmp_path))) as running:
        client = Client(running)
        request = pb.ModelInferRequest(model_name="shop", inputs=[tensor("turns", "INT64", [], [3000])])
        request.parameters["timeout"].int64_param = 50_000
        status, words = client.refusal(lambda: client.call("ModelInfer", request))
        assert (status, "time" in words) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)
        request.parameters["timeout"].string_param = "soon"
        assert client.refusal(lambda: client.call("ModelInfer", request))[0] is grpc.StatusCode.INVALID_ARGUMENT
        client.channel.close()


def test_a_watcher_hears_of_the_end_and_callers_are_asked_to_go_elsewhere(tmp_path: Path) -> None:
    with serving(config_for(package_of(as_slow_as_asked(), tmp_path), drain_seconds=30)) as running:
        client = Client(running)
        states = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        slow = ask_slowly(client, 1500)
        eventually(lambda: in_flight(running) == 1)
        running.client.close()
        with dial(running) as line:
            read_until(line, b"\x04")
            running.process.send_signal(signal.SIGTERM)
            read_until(line, b"\x07\0\0\0\0\0\x7f\xff\xff\xff")
            line.sendall(whole(1, message(b""), head("ServerReady")))
            read_until(line, refused(0))
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert slow.result(PATIENCE).model_name == "shop"
        states.cancel()
        client.channel.close()
        assert running.process.wait(PATIENCE) == 0


def call_until_nobody_listens(running: Running, started: threading.Barrier) -> tuple[int, str]:
    """One caller on a channel of its own: how many calls were answered, and why the first one was not."""
    client = Client(running)
    for answered in itertools.count():
        if answered == 20:
            started.wait(PATIENCE)
        try:
            client.infer(X, raw=RAW)
        except grpc.RpcError as error:
            client.channel.close()
            return answered, str(error.details())
    raise AssertionError("it counts for ever")


def test_a_stop_under_load_loses_no_call(trained_package: Path) -> None:
    callers = 8
    with serving(config_for(trained_package, drain_seconds=2)) as running:
        started = threading.Barrier(callers + 1)
        with concurrent.futures.ThreadPoolExecutor(callers) as pool:
            calls = [pool.submit(call_until_nobody_listens, running, started) for _ in range(callers)]
            started.wait(PATIENCE)
            running.client.close()
            running.process.send_signal(signal.SIGTERM)
            ends = [call.result(PATIENCE) for call in calls]
        assert all(answered > 20 for answered, _ in ends)
        # Refused, or reset by the kernel that held it when the port was closed: either way no call went out on it.
        assert [why for _, why in ends if "failed to connect" not in why] == []
        assert running.process.wait(PATIENCE) == 0


def test_reflection_answers_v1_too(tight: Running) -> None:
    with dial(tight) as line:
        block = head("ServerReflectionInfo", service="grpc.reflection.v1.ServerReflection")
        symbol = b"grpc.reflection.v1.ServerReflection"
        line.sendall(call(1, block) + frame(DATA, 0, 1, message(b"\x3a\x00")))
        read_until(line, b"inference.GRPCInferenceService")
        line.sendall(frame(DATA, 1, 1, message(b"\x22" + bytes((len(symbol),)) + symbol)))
        seen = read_until(line, refused(0))
        assert b"grpc/reflection/v1/reflection.proto" in seen


def test_the_access_log_has_a_line_for_every_call_and_no_payload(trained_package: Path, tmp_path: Path) -> None:
    log = str(tmp_path / "termination-log")
    with serving(config_for(trained_package, access_log=True, termination_log=log)) as running:
        client = Client(running)
        request = pb.ModelInferRequest(model_name="shop", inputs=[tensor(*X)], raw_input_contents=RAW, id="secret")
        client.call("ModelInfer", request, metadata=(("x-request-id", "r-1"), ("traceparent", TRACEPARENT)))
        client.refusal(lambda: client.infer(X))
        path = "/inference.GRPCInferenceService/ModelInfer"

        def lines() -> list[dict[str, object]]:
            entries = [json.loads(line) for line in log_of(running).splitlines()]
            return [entry for entry in entries if entry.get("path") == path]

        eventually(lambda: len(lines()) == 2)
        good, bad = lines()
        assert (good["grpc_status"], bad["grpc_status"], good["request_id"]) == (0, 3, "r-1")
        assert (good["traceparent"], good["bytes_in"]) == (TRACEPARENT, request.ByteSize() + 5)
        assert "secret" not in log_of(running)
        client.channel.close()


def test_a_prediction_is_a_span_of_its_callers_trace(trained_package: Path, tmp_path: Path) -> None:
    config = config_for(trained_package, termination_log=str(tmp_path / "termination-log"), drain_seconds=0)
    with serving(config, OTEL_TRACES_EXPORTER="console") as running:
        client = Client(running)
        request = pb.ModelInferRequest(model_name="shop", inputs=[tensor(*X)], raw_input_contents=RAW)
        client.call("ModelInfer", request, metadata=(("traceparent", TRACEPARENT),))
        client.channel.close()
        running.client.close()
        running.process.terminate()
        assert running.process.wait(PATIENCE) == 0
    span = json.loads((tmp_path / "stdout").read_text())
    assert span["context"]["trace_id"] == "0x" + TRACEPARENT.split("-")[1]
    assert span["attributes"]["rpc.grpc.status_code"] == 0
    assert span["attributes"]["rpc.method"] == "ModelInfer"


def test_the_serving_process_imports_no_other_server_of_grpc() -> None:
    words = "import sys, sluice_runtime.server, sluice_runtime.protocol.reflection; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], cwd=SERVING, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
