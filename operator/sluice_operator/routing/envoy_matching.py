"""Testers in Envoy's terms: what a request must carry for a route."""

from sluice_operator.api.matching import CookieMatch, HeaderMatch, Match
from sluice_operator.routing.envoy_proto import Json


def carries(match: Match) -> Json:
    """The parts of a route.v3.RouteMatch that a request must fulfil beside its path."""
    headers = {"headers": [_header(match.header)]} if match.header else {}
    cookies = {"cookies": [cookie(match.cookie)]} if match.cookie else {}
    return {**headers, **cookies}


def _header(match: HeaderMatch) -> Json:
    name = {"name": match.name.lower()}
    return {**name, "present_match": True} if match.present else {**name, "string_match": _text(match)}


def cookie(match: CookieMatch) -> Json:
    """A route.v3.CookieMatcher, which knows no mere presence."""
    text = {"safe_regex": {"regex": ".*"}} if match.present else _text(match)
    return {"name": match.name, "string_match": text}


def _text(match: HeaderMatch | CookieMatch) -> Json:
    """Envoy's regular expressions are of the whole value."""
    return {"exact": match.value} if match.value is not None else {"safe_regex": {"regex": match.regex}}
