"""Structured logs: one JSON object a line on stderr, so that any cluster's log collector can parse them."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

_TELL_SECONDS = 10.0


class JsonFormatter(logging.Formatter):
    """Formats a record as `{"time", "level", "logger", "message"}`, its `fields`, and for errors `"exception"`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class Failures:
    """Failures of one kind, which may come by the thousands a second: they are logged seldom, and metrics count all."""

    def __init__(self) -> None:
        self._untold = 0
        self._told_at = -_TELL_SECONDS

    def warn(self, log: logging.Logger, message: str, latest: object, traced: BaseException | None = None) -> None:
        """Note one more. `message` is given their number since it was last logged, and the latest of them."""
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            log.warning(message, self._untold, latest, exc_info=traced)
            self._untold, self._told_at = 0, now


def frames_of(error: BaseException) -> str:
    """Where a failure came from, and those behind it, without what they say: that may quote passwords."""
    link: BaseException | None = error
    told = ""
    while link is not None:
        told += f"{''.join(traceback.format_tb(link.__traceback__))}{type(link).__name__}\n"
        link = link.__cause__ or link.__context__
    return told


def own_packages() -> list[str]:
    """What of `sluice` is installed here: an image holds some of it."""
    beside = Path(__file__).resolve().parent.parent.glob("sluice*")
    return sorted(path.name for path in beside if path.name.isidentifier() and path.is_dir())


def setup_logging(level: str) -> None:
    """Send all logs to stderr as JSON lines. Libraries speak only from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in own_packages():
        logging.getLogger(name).setLevel(level.upper())
    # Whether there is an access log is a setting of its own.
    logging.getLogger("sluice_runtime.access_log").setLevel(logging.INFO)
