"""What a pod says about itself: metrics by their documented names, and logs and traces when they are asked for."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from runtime.harness import PATIENCE, SERVING, Running, config_for, eventually, serving, start
from runtime.raw import BODY, PATH, request
from runtime.raw import ask as ask_raw
from sluice.failures import Failure, parse_termination
from sluice_runtime.features.metrics import FeatureMetrics
from support.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (sluice_\w+) ", text, re.MULTILINE))


def log_of(running: Running) -> str:
    return (Path(running.config.termination_log).parent / "stderr").read_text()


def test_the_page_names_every_series_and_no_other(classifier: Running) -> None:
    documented = set(re.findall(r"^\| `(sluice_\w+)` \|", PAGE.read_text(), re.MULTILINE))
    only_with_a_feature_store = CollectorRegistry()
    FeatureMetrics("shop", "1", only_with_a_feature_store)
    more = families(generate_latest(only_with_a_feature_store).decode())
    assert documented == families(classifier.client.get("/metrics").text) | more


def test_every_request_is_counted_and_timed(classifier: Running) -> None:
    before = classifier.metrics()
    for _ in range(10):
        assert classifier.client.post(PATH, content=BODY).status_code == 200
    after = classifier.metrics()
    labels = '{model="shop",revision="abc123"}'
    for name in ("request_duration_seconds", "queue_duration_seconds"):
        assert after[f"sluice_{name}_count{labels}"] - before[f"sluice_{name}_count{labels}"] == 10
    rows = after[f"sluice_batch_size_sum{labels}"] - before[f"sluice_batch_size_sum{labels}"]
    assert rows == 10
    assert after[f"sluice_model_load_seconds{labels}"] > 0


def test_a_restart_can_be_told_from_a_reset(classifier: Running) -> None:
    assert re.search(r"^process_start_time_seconds 1\.\d+e\+09$", classifier.client.get("/metrics").text, re.MULTILINE)


def test_callers_cannot_make_new_series(classifier: Running) -> None:
    def shape() -> set[str]:
        return {line.split(" ")[0] for line in classifier.client.get("/metrics").text.splitlines() if line[:1] != "#"}

    ask_raw(classifier, request(b"", method="PATCH", target="/v2/models/shop/infer"))
    ask_raw(classifier, request(b"", target="/v2/models/nobody/infer"))
    before = shape()
    for i in range(20):
        ask_raw(classifier, request(b"", target=f"/v2/models/{i}/infer"))
        ask_raw(classifier, request(b"", method=("PATCH", "PUT")[i % 2], target=f"/v2/models/shop/versions/{i}/infer"))
    assert {name for name in shape() if name.startswith("sluice_")} == {
        name for name in before if name.startswith("sluice_")
    }


def test_the_access_log_has_a_line_for_every_answer_and_no_payload(trained_package: Path, tmp_path: Path) -> None:
    log = str(tmp_path / "termination-log")
    with serving(config_for(trained_package, access_log=True, termination_log=log)) as running:
        headers = {"x-request-id": "r-1", "traceparent": TRACEPARENT}
        running.client.post(f"{PATH}?secret=1", content=BODY, headers=headers)
        running.client.post(PATH, content=b"rubbish")
        lines: list[dict[str, Any]] = []

        def both() -> bool:
            entries = [json.loads(line) for line in log_of(running).splitlines()]
            lines[:] = [entry for entry in entries if entry.get("path") == PATH]
            return len(lines) == 2

        eventually(both)
        good, bad = lines
        assert (good["status"], good["method"], good["request_id"]) == (200, "POST", "r-1")
        assert good["traceparent"] == TRACEPARENT
        assert (good["bytes_in"], bad["status"]) == (len(BODY), 400)
        assert good["bytes_out"] > 0
        assert "secret" not in log_of(running)
        assert "rubbish" not in log_of(running)


def test_without_being_asked_no_request_is_logged(classifier: Running) -> None:
    classifier.client.post(PATH, content=BODY)
    assert '"message": "request"' not in log_of(classifier)


def test_a_prediction_is_a_span_of_its_callers_trace(trained_package: Path, tmp_path: Path) -> None:
    config = config_for(trained_package, termination_log=str(tmp_path / "termination-log"), drain_seconds=0)
    with serving(config, OTEL_TRACES_EXPORTER="console") as running:
        answer = running.client.post(PATH, content=BODY, headers={"traceparent": TRACEPARENT})
        assert answer.status_code == 200
        running.client.close()
        running.process.terminate()
        assert running.process.wait(PATIENCE) == 0
    span = json.loads((tmp_path / "stdout").read_text())
    assert span["context"]["trace_id"] == "0x" + TRACEPARENT.split("-")[1]
    assert span["parent_id"] == "0x" + TRACEPARENT.split("-")[2]
    assert span["attributes"]["http.response.status_code"] == 200
    assert span["attributes"]["sluice.model"] == "shop"
    assert span["resource"]["attributes"]["service.name"] == "shop"


def test_a_collector_that_is_away_harms_no_prediction(trained_package: Path, tmp_path: Path) -> None:
    config = config_for(trained_package, termination_log=str(tmp_path / "termination-log"), drain_seconds=0)
    nobody = f"http://127.0.0.1:{free_port()}"
    environ = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": nobody,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with serving(config, **environ) as running:
        assert {running.client.post(PATH, content=BODY).status_code for _ in range(200)} == {200}
        running.client.close()
        running.process.terminate()
        assert running.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "said",
    [{"OTEL_SERVICE_NAME": "prices"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=prices"}],
    ids=["name", "attribute"],
)
def test_the_environment_says_what_the_service_is_called(
    trained_package: Path, tmp_path: Path, said: dict[str, str]
) -> None:
    config = config_for(trained_package, termination_log=str(tmp_path / "termination-log"), drain_seconds=0)
    with serving(config, OTEL_TRACES_EXPORTER="console", **said) as running:
        assert running.client.post(PATH, content=BODY).status_code == 200
        running.client.close()
        running.process.terminate()
        assert running.process.wait(PATIENCE) == 0
    span = json.loads((tmp_path / "stdout").read_text())
    assert span["resource"]["attributes"]["service.name"] == "prices"


def test_without_being_asked_nothing_of_the_exporter_is_imported() -> None:
    words = "import sys, sluice_runtime.server; print({'opentelemetry.exporter', 'requests'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", words], cwd=SERVING, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_exporter_that_is_not_installed_is_a_failure_with_a_reason(trained_package: Path, tmp_path: Path) -> None:
    config = config_for(trained_package, termination_log=str(tmp_path / "termination-log"))
    process = start("sluice_runtime", config, OTEL_TRACES_EXPORTER="nonesuch")
    assert process.wait(PATIENCE) == 1
    failure = parse_termination(Path(config.termination_log).read_text())
    assert isinstance(failure, Failure)
    assert "nonesuch" in failure.message
