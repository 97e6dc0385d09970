"""The commands as they are typed: what they print, leave behind and exit with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from sluice.cli import main
from sluice.failures import Failure, Reason, parse_termination
from sluice_features.cli import with_credentials
from sluice_features.definitions import Store
from sluice_features.memory import VARIABLE
from sluice_features.secrets import Secrets
from sluice_features.sources.reading import Context
from sluice_features.staging import kept
from unit.features.shop import document, rows, shop

PATIENCE = 60.0


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


def test_a_check_says_nothing_of_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop(tmp_path, rows(size=[1.0, None, 3.0]))
    assert main(["features", "check", str(tmp_path / "features.yaml")]) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("sluice: stores.size: a value is missing [nullable]")


def test_a_file_that_is_not_duckdbs_is_called_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop.csv").write_text("store_id,at,size\n1,2026-01-01,3.0\n")
    written = document(table="stores") | {"sources": {"files": {"duckdb": {"path": "shop.csv"}}}}
    (tmp_path / "features.yaml").write_text(yaml.safe_dump(written))
    assert main(["features", "check", str(tmp_path / "features.yaml")]) == 3
    assert f"{tmp_path}/shop.csv is no DuckDB file" in capsys.readouterr().err


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As at a terminal: a shell that runs tests in the background lets them, and what they begin, ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_duckdbs_own_word_for_ctrl_c_is_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), kept():
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="another"), kept():
        raise RuntimeError("another")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_one_signal_ends_a_command_whose_store_hangs(stop: signal.Signals, concurrency: int, tmp_path: Path) -> None:
    shop(tmp_path, rows())
    hangs, kept = Event(), tmp_path / "kept"
    kept.mkdir()
    with hanging(hangs) as (url, asked):
        written = document() | {"store": {"url": url, "concurrency": concurrency, "batch": 2}}
        (tmp_path / "features.yaml").write_text(yaml.safe_dump(written))
        words = [sys.executable, "-m", "sluice", "features", "materialize", str(tmp_path / "features.yaml")]
        with subprocess.Popen(words, env={**os.environ, "TMPDIR": str(kept)}, stderr=subprocess.PIPE) as command:
            assert asked.wait(PATIENCE)
            command.send_signal(stop)
            # As long as the store hangs: its own timeout is five times a minute.
            _, told = command.communicate(timeout=PATIENCE)
    assert command.returncode == 130
    assert b"Written were 0 of 3 keys of stores, and perhaps some of" in told
    assert b"Traceback" not in told
    assert not list(kept.iterdir())


@contextmanager
def hanging(until: Event) -> Iterator[tuple[str, Event]]:
    """A feature server that answers what it is asked, and no write; and whether one has come."""
    asked = Event()

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/write-to-online-store":
                asked.set()
                until.wait(2 * PATIENCE)
                return
            names = [reference.split(":")[1] for reference in body["features"]]
            found = {"values": [None], "statuses": ["NOT_FOUND"], "event_timestamps": ["1970-01-01T00:00:00Z"]}
            answer = json.dumps({"metadata": {"feature_names": names}, "results": [found] * len(names)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            until.set()
            server.shutdown()
            thread.join()


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
