"""CEL rules over claims and entities. Whatever is not clearly true is no: errors and missing claims, too."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext.ext_strings import ExtStrings

from sluice_authorizer.outcomes import Refusal, Why

_REFUSED = Refusal(Why.DATA, "this caller may not ask for this data")


def judge(rule: str, claims: Mapping[str, Any], entities: Mapping[str, list[Any]]) -> Refusal | None:
    """None where the rule holds. Its cost is bounded by the library's budget of iterations."""
    try:
        result = _compiled(rule).eval(data={"claims": claims, "entities": entities})
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        return Refusal(Why.DATA, f"the rule about data cannot be evaluated: {_first_line(error)}")
    if result.type() == cel.Type.ERROR:
        return Refusal(Why.DATA, f"the rule about data cannot be evaluated: {_first_line(result.value())}")
    if result.type() != cel.Type.BOOL:
        return Refusal(Why.DATA, "the rule about data is no condition: it is neither true nor false")
    return None if result.value() is True else _REFUSED


@lru_cache(maxsize=256)
def _compiled(rule: str) -> cel.Expression:
    return _environment().compile(rule)


@cache
def _environment() -> cel.Env:
    """CEL with its own functions over strings."""
    values, text = cel.Type.List(cel.Type.DYN), cel.Type.STRING
    variables = {"claims": cel.Type.Map(text, cel.Type.DYN), "entities": cel.Type.Map(text, values)}
    return cel.NewEnv(variables=variables, extensions=[ExtStrings()])


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0][:256]
