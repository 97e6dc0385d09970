"""CEL rules over claims and entities. Whatever is not clearly true is no: errors and missing claims, too.

The library bounds iterations, and neither time nor memory: one rule can go on for seconds, holding Python's lock, or
double a text until nothing is left. So rules are evaluated by `rule_process` alone, which can be stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel

from sluice_authorizer.outcomes import Refusal, Why

MOST_CLAIM_BYTES = 16 * 1024
MOST_BYTES = 512 * 1024
"""Of a question in all: claims, values and the rule, as JSON."""

_REFUSED = Refusal(Why.DATA, "this caller may not ask for this data")
_LONG_CLAIMS = Refusal(Why.DATA, f"a rule decides about at most {MOST_CLAIM_BYTES} bytes of claims")
_LONG = Refusal(Why.DATA, f"a rule decides about at most {MOST_BYTES} bytes of values in one request")
_STRANGE = Refusal(Why.DATA, "the claims cannot be read for the rule about data")


def written(rule: str, claims: Mapping[str, Any], entities: Mapping[str, list[Any]]) -> bytes | Refusal:
    """The question of a rule as one line, or why it is not asked."""
    try:
        # Not orjson, which knows neither NaN nor integers beyond 64 bits: both are values of tensors and claims.
        known = json.dumps(claims)
        if len(known) > MOST_CLAIM_BYTES:
            return _LONG_CLAIMS
        line = json.dumps([rule, claims, entities])
    except (ValueError, TypeError, RecursionError):
        return _STRANGE
    return _LONG if len(line) > MOST_BYTES else line.encode() + b"\n"


def judge(rule: str, claims: Mapping[str, Any], entities: Mapping[str, list[Any]]) -> Refusal | None:
    """None where the rule holds. May take any time and memory: whoever calls this must be able to do without."""
    try:
        result = _compiled(rule).eval(data={"claims": claims, "entities": entities})
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        return Refusal(Why.DATA, f"the rule about data cannot be evaluated: {_first_line(error)}")
    if result.type() == cel.Type.ERROR:
        return Refusal(Why.DATA, f"the rule about data cannot be evaluated: {_first_line(result.value())}")
    if result.type() != cel.Type.BOOL:
        return Refusal(Why.DATA, "the rule about data is no condition: it is neither true nor false")
    return None if result.value() is True else _REFUSED


@lru_cache(maxsize=64)
def _compiled(rule: str) -> cel.Expression:
    return _environment().compile(rule)


@cache
def _environment() -> cel.Env:
    """CEL as it is defined, without extensions: some of them make long texts of short ones."""
    values, text = cel.Type.List(cel.Type.DYN), cel.Type.STRING
    return cel.NewEnv(variables={"claims": cel.Type.Map(text, cel.Type.DYN), "entities": cel.Type.Map(text, values)})


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0][:256]
