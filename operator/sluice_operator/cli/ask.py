"""Asking for something and waiting for the operator's answer."""

import json
import time
from uuid import uuid4

from sluice_operator.api.request import REQUEST
from sluice_operator.cli.connection import Connection, Json
from sluice_operator.cli.errors import CommandError

WITHDRAW = "to withdraw it: kubectl annotate mdep {name} -n {namespace} sluice.dev/request-"


def ask(connection: Connection, action: str, revision: str, full: bool, by: str) -> str:
    """Write the request down. Returns its id."""
    request = {"id": uuid4().hex[:12], "action": action, "revision": revision, "full": full, "by": by}
    said = {key: value for key, value in request.items() if value}
    connection.annotate(REQUEST, json.dumps(said))
    return str(said["id"])


def acted_on(found: Json, action: str, to: str) -> str:
    """The revision that a request means: the one its asker has seen, so that it never hits another."""
    status = found.get("status") or {}
    if action == "rollback":
        return to
    if action == "retry":
        return str((status.get("blocked") or {}).get("revision") or "")
    return str((status.get("canary") or {}).get("revision") or "")


def answer(connection: Connection, asked: str, seconds: float) -> Json:
    """The operator's answer; raises CommandError where none comes in time, or another request took its place."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for found in connection.changes(left):
            if told := _answer_in(found, asked):
                return told
            if _replaced(found, asked):
                raise CommandError("another request came before the operator had seen this one: look, and ask again")
            if time.monotonic() > end:
                break
    how = WITHDRAW.format(name=connection.name, namespace=connection.namespace)
    raise CommandError(
        f"no answer within {seconds:g} s: is the operator running? The request stays until it is ({how})"
    )


def _answer_in(found: Json, asked: str) -> Json | None:
    answers = (found.get("status") or {}).get("requests") or []
    return next((entry for entry in answers if entry["id"] == asked), None)


def _replaced(found: Json, asked: str) -> bool:
    text = (found["metadata"].get("annotations") or {}).get(REQUEST, "")
    return f'"{asked}"' not in text
