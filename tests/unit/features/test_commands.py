"""The commands as they are typed: what they print, leave behind and exit with."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from sluice.cli import main
from sluice.failures import Failure, Reason, parse_termination
from sluice_features.cli import with_credentials
from sluice_features.definitions import Store
from sluice_features.memory import VARIABLE
from sluice_features.secrets import Secrets
from sluice_features.sources.reading import Context
from unit.features.shop import rows, shop


@pytest.fixture
def good(tmp_path: Path) -> Path:
    shop(tmp_path, rows())
    return tmp_path / "features.yaml"


def test_a_check_that_passes_says_what_was_read(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "check", str(good), "--report", str(good.with_name("report.json"))]) == 0
    assert capsys.readouterr().out == "stores: 3 rows of 3 keys, the newest of 2026-03-01 12:00:00 UTC\n"
    report = json.loads(good.with_name("report.json").read_text())
    assert (report["version"], report["result"], report["views"][0]["rows"]) == (1, "Checked", 3)


def test_a_check_that_fails_leaves_its_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop(tmp_path, rows(size=[1.0, None, 3.0]))
    log, report = tmp_path / "log", tmp_path / "report.json"
    words = ["features", "materialize", str(tmp_path / "features.yaml"), "--report", str(report)]
    assert main([*words, "--termination-log", str(log)]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "sluice: Nothing was written, the old values stay: "
        "stores.size: a value is missing [nullable] (1 of 3 rows), such as store_id=2"
    )
    word = parse_termination(log.read_text())
    assert isinstance(word, Failure)
    assert (word.reason, f"sluice: {word.message}") == (Reason.FEATURES_REFUSED, last)
    told = json.loads(report.read_text())
    assert (told["result"], told["views"][0]["violations"][0]["rule"]) == ("Refused", "nullable")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--view", "other"], "no view is called other; there are: stores"),
        (["--start", "2026-03-02", "--end", "2026-03-01"], "--start 2026-03-02 is not before --end 2026-03-01"),
        (["--report", "absent/report.json"], "--report absent/report.json: there is no folder absent"),
        (["--start", "yesterday"], "'yesterday' is no time; write 2026-01-31"),
    ],
)
def test_what_is_typed_wrong_is_told_in_one_line(
    words: list[str], message: str, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", "check", str(good), *words]) == 3
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["much", "512MB' --"])
def test_memory_that_is_no_amount_is_told_to_the_pod(
    memory: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, memory)
    log = tmp_path / "log"
    assert main(["features", "check", str(good), "--termination-log", str(log)]) == 3
    word = parse_termination(log.read_text())
    assert isinstance(word, Failure)
    assert word.reason is Reason.FEATURES_INVALID
    assert f"check {VARIABLE}" in word.message


def test_definitions_that_are_wrong_are_told_to_the_pod_too(tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text("project: 7")
    log = tmp_path / "log"
    assert main(["features", "check", str(tmp_path / "features.yaml"), "--termination-log", str(log)]) == 3
    word = parse_termination(log.read_text())
    assert isinstance(word, Failure)
    assert word.reason is Reason.FEATURES_INVALID


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_history_is_written(suffix: str, good: Path) -> None:
    asked, output = good.with_name(f"asked{suffix}"), good.with_name("out.parquet")
    entities = pa.table({"store_id": [1, 2], "when": pa.array([1_772_366_400] * 2, pa.timestamp("s", "UTC"))})
    (pyarrow.csv.write_csv if suffix == ".csv" else pq.write_table)(entities, asked)
    words = ["--service", "store-revenue", "--entities", str(asked), "--output", str(output), "--timestamp", "when"]
    assert main(["features", "history", str(good), *words]) == 0
    assert pq.read_table(output).column("size").to_pylist() == [100.0, 101.0]


@pytest.mark.parametrize("url", ["feast-7:6566", "http://admin:feast-7@127.0.0.1:9", "http://127.0.0.1:9?key=feast-7"])
def test_the_store_may_be_named_by_the_command(url: str, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "materialize", str(good), "--store", url]) == 3
    told = capsys.readouterr().err
    assert "--store is the http(s) URL of a feature server" in told
    assert "feast-7" not in told


@pytest.mark.parametrize("files", [{}, {"token": "abc-def\n"}, {"ca.crt": "-"}, {"token": "abc-def", "ca.crt": "-"}])
def test_what_the_store_wants_to_see_may_lie_in_a_folder(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    written = Store(url="https://feast", token="${OWN}", ca="own.crt")
    store, context = with_credentials(written, Context(tmp_path, Secrets({"OWN": "own-token"})), tmp_path)
    assert context.secrets.filled(str(store.token)) == ("abc-def" if "token" in files else "own-token")
    assert store.ca == (str(tmp_path / "ca.crt") if "ca.crt" in files else "own.crt")
    assert "token" not in files or "abc-def" not in context.secrets.scrubbed("it said abc-def")
    assert with_credentials(written, context, None) == (written, context)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["render", "--output", "FILE"], "is a file; --output is a folder"),
        (["history", "--service", "s", "--output", "o", "--entities", "absent.csv"], "--entities: there is no file a"),
        (["history", "--service", "s", "--entities", "FILE", "--output", "absent/o"], "--output absent/o: there is no"),
    ],
)
def test_a_place_that_is_not_there_is_told_by_its_option(
    words: list[str], message: str, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part, *options = [str(good) if word == "FILE" else word for word in words]
    assert main(["features", part, str(good), *options]) == 3
    assert message in capsys.readouterr().err
