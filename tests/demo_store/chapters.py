"""The chapters of the story: what people and machines do, and what was seen of it. Nothing is judged here."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from demo_store.offline import FEATURES
from demo_store.stage import APP, MANAGER, NAME, NOBODY, STRANGER, Stage
from demo_store.steady import Load
from demo_store.training import Trained, train
from support.deployments import KIND, until_promoted
from support.kube import Object, condition, is_true

PATIENCE = 120.0
RENOVATED, BAD = 42, 7


def fill(stage: Stage) -> None:
    """From the warehouse into the feature store: checked, and only then written."""
    with stage.chapter("fill", "features: checked, and only then written into the feature store") as facts:
        desk = stage.desk("engineer")
        facts["check"] = desk.sluice("features", "check", "features.yaml").checked().said.strip()
        facts["said"] = desk.sluice("features", "materialize", "features.yaml").checked().said.strip()
        facts["stores"] = complete(stage.read_store())
        facts["values that differ"] = differing(stage)


def refuse_bad_batch(stage: Stage) -> None:
    """A store of -5 square metres is no store: nothing of that batch is written."""
    with stage.chapter("bad batch", "features: a batch with a bad value is refused") as facts:
        now = datetime.now(UTC)
        stage.servers.warehouse.write(BAD, {**stage.stores[BAD], "ssize": -5.0}, now)
        outcome = stage.desk("engineer").sluice("features", "materialize", "features.yaml")
        stage.servers.warehouse.forget(BAD, now)
        facts |= {"exit code": outcome.code, "said": (outcome.complained or outcome.said).strip()}
        facts["values that differ"] = differing(stage)


def train_first(stage: Stage) -> Trained:
    """Trained twice, in two folders: the same package. One of them is registered."""
    with stage.chapter("train", "training: twice in two folders, the same package; registered as champion") as facts:
        trial = train(stage, "trial")
        first = train(stage, "scientist", register=True)
        facts |= {"digest": first.digest, "again": trial.digest}
        return first


def serve(stage: Stage, first: Trained) -> None:
    """The example's YAML, and the app's first answer."""
    with stage.chapter("serve", "serving: the ModelDeployment, with features and access") as facts:
        stage.kube.apply(*settings(stage), *stage.objects("modeldeployment.yaml"))
        stage.kube.wait(f"{KIND}/{NAME}", "condition=Ready", PATIENCE)
        facts["answer"] = until_answered(stage)
        facts["trained -> answered"] = round(time.monotonic() - first.ended, 1)
        found = until_promoted(stage.kube, NAME)
        facts["conditions"] = {kind: is_true(found, kind) for kind in ("Ready", "Promoted", "AccessReady")}
        facts |= {"uri": found["status"]["stable"]["uri"], "digest": found["status"]["stable"]["digest"]}
        facts["revision"] = found["status"]["stable"]["revision"]
        facts["card"] = found["status"]["stable"].get("card", {})


def ask_all(stage: Stage, key: str, trained: Trained) -> None:
    """Every store, one request each and all in one, held against the offline pipeline."""
    with stage.chapter(key, f"the app asks about all {len(stage.stores)} stores, one by one and at once") as facts:
        app, numbers = stage.callers[APP], list(stage.stores)
        expected = trained.predict(list(stage.stores.values()))
        singles = app.ask_each(numbers)
        together = app.ask(numbers)
        facts["one by one"] = trained.difference(expected, [revenue(answer, 0) for answer in singles])
        facts["at once"] = trained.difference(expected, together.get("revenue", []))
        facts["failed"] = [answer for answer in (*singles, together) if answer["status"] != 200]


def permit(stage: Stage) -> None:
    """Who may ask what."""
    with stage.chapter("permit", "who may ask: the app, a stranger, the manager of store 43, nobody") as facts:
        asked = ((APP, 42), (STRANGER, 42), (MANAGER, 42), (MANAGER, 43), (NOBODY, 42))
        for who, store in asked:
            answer = stage.callers[who].ask([store])
            facts[f"{who} about {store}"] = answer["status"]
            facts[f"{who} about {store} was told"] = answer.get("error", answer.get("revenue"))
        facts[f"{MANAGER} about 43 and 42"] = stage.callers[MANAGER].ask([43, 42])["status"]


def renovate(stage: Stage, trained: Trained) -> None:
    """Store 42 grows; the operator's CronJob brings that into the feature store, and the next answer knows it."""
    with stage.chapter("renovate", "store 42 is renovated: the operator's CronJob refreshes the features") as facts:
        old = trained.predict([stage.stores[RENOVATED]])
        stage.stores[RENOVATED] = {**stage.stores[RENOVATED], "ssize": 240.0, "inv1": 350_000.0}
        stage.servers.warehouse.write(RENOVATED, stage.stores[RENOVATED], datetime.now(UTC))
        new = trained.predict([stage.stores[RENOVATED]])
        run_now(stage, "renovated")
        found = stage.kube.until(KIND, NAME, succeeded, PATIENCE)
        facts["FeaturesReady"] = condition(found, "FeaturesReady").get("status")
        given = until_revenue(stage, lambda value: abs(value / new[0] - 1) < abs(value / old[0] - 1))
        facts |= {"offline before": old[0], "offline after": new[0], "answered": given}
        facts["difference"] = trained.difference(new, [given])


def refuse_bad_run(stage: Stage) -> None:
    """The same by CronJob with a bad value: nothing is written, and status says why."""
    with stage.chapter(
        "bad run", "a bad value in the warehouse: the CronJob writes nothing, and status says so"
    ) as facts:
        now = datetime.now(UTC)
        stage.servers.warehouse.write(BAD, {**stage.stores[BAD], "ssize": -5.0}, now)
        run_now(stage, "bad")
        found = stage.kube.until(KIND, NAME, lambda seen: not_ready(seen, "FeaturesReady"), PATIENCE)
        stage.servers.warehouse.forget(BAD, now)
        facts["FeaturesReady"] = condition(found, "FeaturesReady").get("status")
        facts["told"] = condition(found, "FeaturesReady").get("message", "")
        facts["Ready"] = is_true(found, "Ready")
        facts["values that differ"] = differing(stage)


def replace(stage: Stage, load: Load) -> Trained:
    """A second version is trained and registered: the alias moves, a canary follows, and takes over."""
    with stage.chapter("replace", "a second version: trained, the alias moves, canary, promoted") as facts:
        second = train(stage, "scientist", "2", ("--search", "2"), register=True)
        facts["said"] = second.said.strip()
        found = stage.kube.until(KIND, NAME, lambda seen: carries(seen, "canary", second), PATIENCE)
        facts["trained -> canary"] = round(time.monotonic() - second.ended, 1)
        facts["revision"] = found["status"]["canary"]["revision"]
        first = load.until(lambda answer: answer.revision == facts["revision"] and answer.status == 200, PATIENCE)
        facts["trained -> first answer"] = round(first.began - second.ended_at, 1)
        stage.kube.until(KIND, NAME, lambda seen: carries(seen, "stable", second), PATIENCE)
        found = until_promoted(stage.kube, NAME)
        facts["trained -> all traffic"] = round(time.monotonic() - second.ended, 1)
        facts |= {"uri": found["status"]["stable"]["uri"], "digest": found["status"]["stable"]["digest"]}
        return second


def lose_store(stage: Stage) -> None:
    """The feature store goes away: what the spec says happens, first Fail, then Default."""
    with stage.chapter("outage", "the feature store goes away: 503; then the spec says Default") as facts:
        stage.servers.feast.kill()
        facts["Fail"] = until_answer(stage, lambda answer: answer["status"] != 200)
        deployment = stage.objects("modeldeployment.yaml")[0]
        deployment["spec"]["features"]["onOutage"] = "Default"
        stage.kube.apply(deployment)
        facts["Default"] = until_answer(stage, lambda answer: answer["status"] == 200)
        found = until_promoted(stage.kube, NAME)
        facts["Promoted"] = is_true(found, "Promoted")
        facts["Default, promoted"] = stage.callers[APP].ask([RENOVATED])
        stage.servers.feast.begin()
        facts["back"] = until_answer(stage, lambda answer: "notes" not in answer)


def settings(stage: Stage) -> list[Object]:
    """What the job that fills the feature store reads: definitions, and the warehouse's address with its password."""
    definitions = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "features"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "warehouse"}}
    definitions["data"] = {"features.yaml": stage.text("features.yaml")}
    secret["stringData"] = {"WAREHOUSE": stage.servers.warehouse.server.dsn}
    return [definitions, secret]


def run_now(stage: Stage, name: str) -> None:
    """The next run of the CronJob, now, as a person asks for it."""
    stage.kube.run("create", "job", f"{NAME}-features-{name}", f"--from=cronjob/{NAME}-features")


def succeeded(found: Object) -> bool:
    return bool(found.get("status", {}).get("features", {}).get("lastSuccess"))


def not_ready(found: Object, kind: str) -> bool:
    return condition(found, kind).get("status") == "False"


def carries(found: Object, role: str, trained: Trained) -> bool:
    """Whether a revision of this package has the role."""
    return bool(found.get("status", {}).get(role, {}).get("digest") == trained.digest)


def complete(known: dict[int, dict[str, Any]]) -> int:
    """Stores with every feature."""
    return sum(set(FEATURES) <= set(values) for values in known.values())


def differing(stage: Stage) -> int:
    """Values of the feature store that are not, bit for bit, those of the warehouse."""
    known = stage.read_store()
    return sum(
        known[store].get(feature) != row[column]
        for store, row in stage.stores.items()
        for feature, column in FEATURES.items()
    )


def revenue(answer: Any, row: int) -> float:
    """A revenue of an answer; NaN, which nothing equals, where there is none."""
    return float(answer["revenue"][row]) if "revenue" in answer else float("nan")


def until_answered(stage: Stage) -> Any:
    return until_answer(stage, lambda answer: answer["status"] == 200)


def until_answer(stage: Stage, holds: Any) -> Any:
    """What the app is answered about store 42, once it is as wanted."""
    deadline = time.monotonic() + PATIENCE
    while not holds(answer := stage.callers[APP].ask([RENOVATED])):
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s; the last answer: {answer}"
        time.sleep(0.2)
    return answer


def until_revenue(stage: Stage, holds: Any) -> float:
    return revenue(until_answer(stage, lambda answer: "revenue" in answer and holds(revenue(answer, 0))), 0)
