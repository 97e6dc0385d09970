"""Structured logs: one JSON object a line, with the resource a line is about, however deep it was written."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter

Format = Literal["json", "text"]

_fields: ContextVar[dict[str, str]] = ContextVar("log_fields", default={})  # noqa: B039 - never changed in place


@contextmanager
def context(**fields: str) -> Iterator[None]:
    """Every line logged inside carries these fields, such as namespace, name and revision."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


class _Json(JsonFormatter):
    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data.update(
            time=log_data.pop("asctime"), level=record.levelname.lower(), logger=record.name, **_fields.get()
        )


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in _fields.get().items())
        return super().format(record) + fields


class _FrameworkRetries(logging.Filter):
    """The framework logs every attempt of every watch while the API server is away; the circuit says it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Request attempt")


def setup(level: str, style: Format) -> None:
    """Log to standard error; the framework's own lines only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_FrameworkRetries())
    if style == "json":
        handler.setFormatter(_Json("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"))
    else:
        handler.setFormatter(_Text("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
