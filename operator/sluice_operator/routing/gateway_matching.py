"""Testers in Gateway API's terms, which knows headers and no cookies.

Whether a regular expression is one of the whole value is the gateway's own affair, so each of these says it itself.
"""

import re
from typing import Any

from sluice_operator.api.matching import CookieMatch, HeaderMatch, Match

_REGEX = "RegularExpression"


def carries(match: Match) -> list[dict[str, Any]]:
    """The headers (HTTPHeaderMatch, GRPCHeaderMatch) that a request must carry, all of them."""
    return [*([_header(match.header)] if match.header else []), *([_cookie(match.cookie)] if match.cookie else [])]


def _header(match: HeaderMatch) -> dict[str, Any]:
    if match.value is not None:
        return {"type": "Exact", "name": match.name.lower(), "value": match.value}
    text = ".*" if match.present else f"^(?:{match.regex})$"
    return {"type": _REGEX, "name": match.name.lower(), "value": text}


def _cookie(match: CookieMatch) -> dict[str, Any]:
    """One of the pairs in the header Cookie (RFC 6265, 4.2.1), whatever stands before and after it."""
    pair = f"{re.escape(match.name)}={_value(match)}"
    return {"type": _REGEX, "name": "cookie", "value": f"^(?:.*; *)?{pair}(?:;.*)?$"}


def _value(match: CookieMatch) -> str:
    if match.value is not None:
        return re.escape(match.value)
    return "[^;]*" if match.present else f"(?:{match.regex})"
