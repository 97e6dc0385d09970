"""A target in a cell that was asked for is claimed, measured or not; any other is not."""

from dataclasses import replace

from bench.serving.messages import Encoding
from bench.serving.samples import Cell, Floor, Results, Sample
from bench.serving.startup import Start
from bench.serving.targets import ECHO, IMAGE_1, JSON_1, JSON_16, SLUICE, judge
from support.report import Claim, Report

BLANK = Sample(JSON_16, SLUICE, 0, 1.0, 1.0, 1.0, 1.0, 100.0, 1.0, 1.0, 0.0)


def claims(results: Results, asked: list[Cell], starts: tuple[Start, ...] | None = None) -> list[Claim]:
    report = Report("bench/never-written.json")
    judge(report, results, asked, starts)
    return report.claims


def in_rounds(cell: Cell, values: dict[str, list[float]], field: str) -> Results:
    samples = [
        replace(BLANK, cell=cell, contender=name, round=number, **{field: value})
        for name, rounds in values.items()
        for number, value in enumerate(rounds)
    ]
    return Results(samples)


def test_a_share_of_the_echo_is_the_median_of_its_rounds() -> None:
    results = in_rounds(JSON_16, {SLUICE: [70.0, 60.0, 10.0], ECHO: [100.0, 100.0, 100.0]}, "rate")
    found = claims(results, [JSON_16])[0]
    assert (found.measured, found.holds, found.wanted) == (0.6, False, ">= 0.65")
    assert "[0.10 .. 0.70]" in found.claim


def test_a_peer_that_could_not_be_measured_breaks_the_claim() -> None:
    results = in_rounds(JSON_16, {SLUICE: [70.0], ECHO: [100.0]}, "rate")
    unmeasured = next(claim for claim in claims(results, [JSON_16]) if "MLServer" in claim.claim)
    assert (unmeasured.measured, unmeasured.holds) == (None, False)


def test_what_was_not_asked_for_is_not_claimed() -> None:
    assert claims(Results(), [Cell("large", Encoding.JSON, 64)]) == []


def test_the_added_latency_leaves_out_echo_and_session() -> None:
    results = in_rounds(JSON_1, {SLUICE: [0.9], ECHO: [0.5]}, "p50")
    results.floors.append(Floor("tabular", 0, 0.1, 0.2))
    added = claims(results, [JSON_1])[0]
    assert (added.measured, added.holds) == (0.3, True)


def test_the_image_model_is_held_against_its_own_session() -> None:
    results = in_rounds(IMAGE_1, {SLUICE: [12.0]}, "p50")
    results.floors.append(Floor("image", 0, 10.0, 11.0))
    assert claims(results, [IMAGE_1])[0].holds is False


def test_the_largest_memory_and_the_median_start_count() -> None:
    results = Results([replace(BLANK, rss_mib=rss) for rss in (100.0, 150.0)])
    starts = tuple(Start(wall, 0.7, 90.0) for wall in (0.9, 1.0, 9.0))
    found = {claim.claim.split(",")[0]: claim for claim in claims(results, [JSON_16], starts)}
    assert found["start to ready"].measured == 1.0
    assert found["RSS with the small model"].measured == 150.0


def test_starts_that_failed_break_the_claim() -> None:
    (found,) = claims(Results(), [], ())
    assert (found.measured, found.holds) == (None, False)


def test_the_ratio_of_cpu_time_stands_beside_the_ratio_of_speed() -> None:
    results = in_rounds(JSON_16, {SLUICE: [80.0], ECHO: [40.0]}, "cpu_us")
    assert "by CPU 0.50" in claims(results, [JSON_16])[0].claim


def test_a_disturbed_run_proves_nothing() -> None:
    calm, disturbed = (claims(in_rounds(JSON_16, {SLUICE: [share]}, "foreign"), [])[-1] for share in (0.05, 0.4))
    assert (calm.holds, disturbed.holds) == (True, False)
