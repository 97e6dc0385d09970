"""`sluice validate` judges as the API server does, without one."""

import json
from typing import Any

import pytest
import yaml

from controlplane.crd.definition import try_apply
from controlplane.crd.refused import OWN_FEATURES, Refused, features, manifest, materialized
from controlplane.crd.test_bad_input import TABLE
from sluice_operator.api import crd
from sluice_operator.cli import schema, validate
from sluice_operator.cli.documents import Document, read
from sluice_operator.cli.errors import UnreadableError
from support.kube import Kube

MANIFEST = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: sluice.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: store-revenue
spec:
  model:
    uri: https://models.example/store-revenue-1.tar.gz
  rollout:
    steps:
      - {weight: 50}
      - weight: 10
    drainDelay: 1h
"""


def judged(found: Any) -> list[dict[str, Any]]:
    (document,) = read("m.yaml", yaml.safe_dump(found))
    return validate.check(document)


@pytest.mark.parametrize("refused", TABLE, ids=[row.case for row in TABLE])
def test_what_the_api_server_refuses_is_refused_with_the_field(kube: Kube, refused: Refused) -> None:
    found = judged(refused.manifest())
    assert found, "accepted"
    assert not refused.answer(kube).accepted
    told = " ".join(f"{entry['path']} {entry['message']}" for entry in found)
    assert [text for text in refused.told if text not in told] == [], told


SCHEDULES = (
    *("30 4 * * *", "*/5,7-9 0-23/2 1,15 JAN-mar mon-FRI", "? ?/2 * 12 0-6", "5/10 0 29 2 SUN"),
    *("@every 1h30m", "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"),
)

ALLOWED: dict[str, dict[str, Any]] = {
    "nothing but a model": {},
    "a number as a quantity": {"runtime": {"resources": {"requests": {"cpu": 1}}}},
    "a field that is null and has a default": {"router": None},
    "anything in a pod template's spec": {"runtime": {"podTemplate": {"spec": {"anything": {"new": [1, None]}}}}},
    "a limit that is a whole number": {
        "rollout": {"analysis": {"checks": [{"metric": "latencyP99", "max": 2, "maxTimesStable": 3}]}}
    },
    "a fixed number of pods": {"scaling": {"replicas": 3}},
    "features of the package": features(cache={"maxAge": "30s"}, onOutage="Default"),
    "features of the spec": features(**OWN_FEATURES, store={"url": "https://feast:443/api"}),
    **{f"a schedule {line}": materialized(line) for line in SCHEDULES},
    "a run with all that it may have": materialized(
        "@hourly",
        timeZone="America/Argentina/Buenos_Aires",
        views=["a b"],
        suspend=True,
        deadline="1s",
        credentials={"secretRef": {"name": "warehouse"}},
        serviceAccountName="reader",
        resources={},
        startingDeadline="10s",
        backoffLimit=0,
        successfulJobsHistoryLimit=100,
        failedJobsHistoryLimit=1,
        podTemplate={"metadata": {"labels": {"team": "shop"}}, "spec": {"anything": {"new": [1, None]}}},
    ),
    "a pause": {"rollout": {"steps": [{"weight": 10, "pause": True}], "paused": False}},
}


@pytest.mark.parametrize("spec", ALLOWED.values(), ids=list(ALLOWED))
def test_what_the_api_server_accepts_is_accepted(kube: Kube, spec: dict[str, Any]) -> None:
    found = manifest({"model": {"uri": "https://models.example/1.tar.gz"}, **spec})
    assert judged(found) == []
    answer = try_apply(kube, found)
    assert answer.accepted, answer.text


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_that_is_accepted_is_one_that_cron_jobs_have(kube: Kube, schedule: str) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    spec = {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    answer = try_apply(kube, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "t"}, "spec": spec})
    assert answer.accepted, answer.text


NOT_ALLOWED: dict[str, dict[str, Any]] = {
    "a fraction as a quantity": {"runtime": {"resources": {"requests": {"cpu": 0.5}}}},
    "a number as text": {"scaling": {"replicas": "3"}},
    "a yes as a number": {"scaling": {"replicas": True}},
    "an item that is null": {"rollout": {"steps": [None]}},
    "text where a list belongs": {"rollout": {"steps": "all"}},
}


@pytest.mark.parametrize("spec", NOT_ALLOWED.values(), ids=list(NOT_ALLOWED))
def test_what_has_another_type_is_refused_by_both(kube: Kube, spec: dict[str, Any]) -> None:
    found = manifest({"model": {"uri": "https://models.example/1.tar.gz"}, **spec})
    assert judged(found)
    assert not try_apply(kube, found).accepted


def rules(part: Any) -> list[str]:
    below = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    own = [rule["rule"] for rule in part.get("x-kubernetes-validations", ())] if isinstance(part, dict) else []
    return own + [rule for each in below for rule in rules(each)]


def test_every_rule_of_the_definition_can_be_asked_offline() -> None:
    found = rules(crd.root_schema()["properties"])
    assert len(found) > 10
    for rule in found:
        schema.compiled(rule)


def test_a_mistake_is_told_with_its_line_and_other_documents_are_passed_over(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(MANIFEST)
    assert validate.run([str(path)], as_json=False) == 1
    told = capsys.readouterr()
    assert told.out.startswith(f"{path}:13: store-revenue: spec.rollout.steps: ")
    assert "weights of steps must rise" in told.out
    assert "1 other documents passed over" in told.err
    assert validate.run([str(tmp_path)], as_json=True) == 1
    assert [entry["line"] for entry in json.loads(capsys.readouterr().out)] == [13]


def test_lists_are_taken_apart() -> None:
    items = [{"apiVersion": "v1", "kind": "Secret"}, manifest({"model": {"uri": "ftp://x"}})]
    documents = list(read("m.yaml", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)))
    assert [document.value["kind"] for document in documents] == ["Secret", "ModelDeployment"]
    (found,) = validate.check(documents[1])
    assert found["path"] == "spec.model.uri"
    assert found["line"] > 5


def test_a_repeated_field_is_a_mistake() -> None:
    text = MANIFEST.partition("---\n")[2].replace("    drainDelay: 1h\n", "    drainDelay: 1h\n    drainDelay: 2h\n")
    (document,) = read("m.yaml", text.replace("weight: 10", "weight: 60"))
    (found,) = validate.check(document)
    assert 'key "drainDelay" already set' in found["message"]


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "{{ .Values.x }}: {"])
def test_what_is_no_yaml_is_told_with_its_line(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"m\.yaml:1"):
        list(read("m.yaml", text))


def test_checking_nothing_is_no_success(tmp_path: Any) -> None:
    (tmp_path / "values.yaml").write_text("a: 1\n")
    with pytest.raises(UnreadableError, match="nothing was checked"):
        validate.run([str(tmp_path)], as_json=False)
    with pytest.raises(UnreadableError, match="does not exist"):
        validate.run([str(tmp_path / "gone.yaml")], as_json=False)


def test_a_version_that_is_not_known_here_is_refused() -> None:
    (document,) = read("m.yaml", MANIFEST.partition("---\n")[2].replace("v1alpha1", "v2"))
    assert isinstance(document, Document)
    assert [entry["path"] for entry in validate.check(document)] == ["apiVersion"]
