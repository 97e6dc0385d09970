"""What the story must have shown: every claim, computed from what the chapters have recorded alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from demo_store.offline import FEATURES
from demo_store.stage import APP, MANAGER, NOBODY, STRANGER, Stage
from demo_store.steady import Answer
from demo_store.training import Trained
from support.report import Report

CLOSE = 1e-5
"""The promise. Features, scalers, linear models and trees are doubles all the way, so that what remains is the order of
sums, some 1e-15; single floats anywhere would show as about 1e-7."""

MOST_SECONDS = 120.0


def judge(stage: Stage, answers: list[Answer], versions: dict[str, Trained], report: Report) -> None:
    """Add every claim, and all that was seen beside them."""
    judge_features(stage, report)
    judge_training(stage, versions, report)
    judge_answers(stage, report)
    judge_permissions(stage, report)
    judge_materialization(stage, report)
    judge_replacement(stage, answers, versions, report)
    judge_outage(stage, versions, report)
    report.details["chapters"] = stage.facts


def judge_features(stage: Stage, report: Report) -> None:
    fill, bad = stage.facts["fill"], stage.facts["bad batch"]
    report.equal("stores with every feature in the feature store", len(stage.stores), fill["stores"])
    report.equal("values there that differ from the warehouse's, of all", 0, fill["values that differ"])
    report.equal("a batch with a floor of -5 m2: exit code", 3, bad["exit code"])
    named = [word for word in ("stores", "floor_m2", "-5") if word in bad["said"]]
    report.equal("it names view, column and value", ["stores", "floor_m2", "-5"], named)
    report.equal("values that it changed in the feature store", 0, bad["values that differ"])


def judge_training(stage: Stage, versions: dict[str, Trained], report: Report) -> None:
    facts = stage.facts["train"]
    learned = [version.manifest.training.data for version in versions.values() if version.manifest.training]
    report.equal("both versions learned from what was known then, not from what was written since", 1, len({*learned}))
    report.equal("trained twice in two folders: the same digest", facts["digest"], facts["again"])
    served = stage.facts["serve"]
    report.equal("what is served has that digest", facts["digest"], served["digest"])
    card = versions["v1"].manifest.card
    report.equal("status sums up its card: description", card and card.description, served["card"].get("description"))


def judge_answers(stage: Stage, report: Report) -> None:
    serve = stage.facts["serve"]
    report.equal("conditions", {"Ready": True, "Promoted": True, "AccessReady": True}, serve["conditions"])
    report.equal("the app asks for store 42", 200, serve["answer"]["status"])
    for key, version in (("ask v1", "v1"), ("ask v2", "v2")):
        facts = stage.facts[key]
        report.equal(f"{version}: requests about all stores that failed", 0, len(facts["failed"]))
        for how in ("one by one", "at once"):
            claim = (
                f"{version}: {len(stage.stores)} stores, {how}: largest relative difference from the offline pipeline"
            )
            compare(report, claim, facts[how])


def compare(report: Report, claim: str, difference: float) -> None:
    """A difference as it is, without the rounding that other numbers get."""
    report.equal(f"{claim} <= {CLOSE:g} ({difference:.1e})", True, bool(difference <= CLOSE))


def judge_permissions(stage: Stage, report: Report) -> None:
    facts = stage.facts["permit"]
    wanted = {f"{APP} about 42": 200, f"{STRANGER} about 42": 403, f"{MANAGER} about 42": 403}
    wanted |= {f"{MANAGER} about 43": 200, f"{MANAGER} about 43 and 42": 403, f"{NOBODY} about 42": 401}
    for who, status in wanted.items():
        report.equal(f"asks: {who}", status, facts[who])


def judge_materialization(stage: Stage, report: Report) -> None:
    good, bad = stage.facts["renovate"], stage.facts["bad run"]
    report.equal("the CronJob's run: condition FeaturesReady", "True", good["FeaturesReady"])
    compare(report, "store 42 after it: difference from the offline pipeline", good["difference"])
    report.equal("the run with a bad value: condition FeaturesReady", "False", bad["FeaturesReady"])
    report.equal("it names the column", True, "floor_m2" in bad["told"])
    report.equal("values that it changed in the feature store", 0, bad["values that differ"])
    report.equal("the model goes on: condition Ready", True, bad["Ready"])


def judge_replacement(stage: Stage, answers: list[Answer], versions: dict[str, Trained], report: Report) -> None:
    """Under load: nobody fails, and each answer is that of the version that gave it."""
    facts = stage.facts["replace"]
    during = [one for one in answers if facts["began"] <= one.began < facts["ended"]]
    report.at_least("requests while the second version took over", 500, len(during))
    report.equal("of them, failed", 0, sum(one.status != 200 for one in during))
    by_revision = {stage.facts["serve"]["revision"]: versions["v1"], facts["revision"]: versions["v2"]}
    rows = list(stage.stores.values())
    expected = {revision: version.predict(rows) for revision, version in by_revision.items()}
    report.equal("of them, not what the version that answered says offline", 0, len(wrong(during, expected)))
    second = sum(one.revision == facts["revision"] for one in during)
    report.at_least("of them, answered by the second version", 100, second)
    report.equal("the second version took over: digest", versions["v2"].digest, facts["digest"])
    report.at_most("first version: trained -> answered", MOST_SECONDS, stage.facts["serve"]["trained -> answered"], "s")
    report.at_most("second version: trained -> first answer", MOST_SECONDS, facts["trained -> first answer"], "s")
    report.at_most("second version: trained -> all traffic", MOST_SECONDS, facts["trained -> all traffic"], "s")


def wrong(answers: list[Answer], expected: dict[str, Any]) -> list[Answer]:
    """Answers that are not what their version says offline; those that failed are not looked at."""
    return [
        one
        for one in answers
        if one.status == 200
        and (one.revision not in expected or not near(expected[one.revision][one.store - 1], one.value))
    ]


def near(wanted: float, given: float | str) -> bool:
    return bool(np.isclose(float(given), wanted, rtol=CLOSE, atol=0))


def judge_outage(stage: Stage, versions: dict[str, Trained], report: Report) -> None:
    facts = stage.facts["outage"]
    report.equal("the feature store is away, onOutage: Fail", 503, facts["Fail"]["status"])
    report.equal("no answer without features", False, "revenue" in facts["Fail"])
    defaults = facts["Default, promoted"]
    report.equal("onOutage: Default: condition Promoted", True, facts["Promoted"])
    report.equal("onOutage: Default", 200, defaults["status"])
    noted = [name for name in FEATURES if f"{name}=default(outage:" in defaults.get("notes", "")]
    report.equal("features that the answer says are defaults", list(FEATURES), noted)
    expected = versions["v2"].predict([versions["v2"].defaults()])
    difference = Trained.difference(expected, defaults.get("revenue", []))
    compare(report, "the offline pipeline with the defaults: difference", difference)
    back = versions["v2"].predict([stage.stores[42]])
    difference = Trained.difference(back, facts["back"].get("revenue", []))
    compare(report, "the feature store is back, no note, and store 42 again: difference", difference)
