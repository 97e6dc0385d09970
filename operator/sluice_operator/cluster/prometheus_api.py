"""What a Prometheus answers on /api/v1/query, as one number or the reason why there is none."""

import json
from typing import Any

from sluice_operator.planning.observed import Answer

SAID_AT_MOST = 200


def answer(status: int, body: bytes) -> Answer:
    """The value of a scalar or of a vector of one sample; None for an empty one. Everything else is a fault."""
    try:
        found = json.loads(body)
        if status != 200 or found["status"] != "success":
            return Answer(fault=True, message=_error(status, found))
        return _value(found["data"])
    except (ValueError, KeyError, TypeError, IndexError):
        return Answer(fault=True, message=f"HTTP {status}, and no answer of a Prometheus")


def _value(data: dict[str, Any]) -> Answer:
    if data["resultType"] == "scalar":
        return Answer(value=float(data["result"][1]))
    if data["resultType"] != "vector":
        return Answer(fault=True, message=f"the query gives a {data['resultType']}, not one number")
    samples = data["result"]
    if len(samples) > 1:
        return Answer(fault=True, message=f"the query gives {len(samples)} samples, not one: aggregate them")
    return Answer(value=float(samples[0]["value"][1]) if samples else None)


def _error(status: int, found: dict[str, Any]) -> str:
    return f"HTTP {status}: {found.get('errorType', 'error')}: {found.get('error', '')}"[:SAID_AT_MOST]
