"""How a refusal is put (lds.yaml, local_reply_config): the protocol's error shape for REST, plain words for gRPC, and a
sentence where a filter has only a word.
"""

from sluice_operator.routing.base import Guard
from sluice_operator.routing.envoy_proto import V2_ERRORS, Json

GRPC_STATUS = "x-sluice-grpc-status"
"""Tells the script behind a rule over data which status a refusal is over gRPC: `ext_authz` calls all that it refuses
PERMISSION_DENIED."""

FORBIDDEN = "x-sluice-forbidden"
"""Set by the scripts that name callers, where they refuse a request with 403."""

_CHALLENGE = 'Bearer realm="sluice", error="invalid_token"'
_BELIEVED_SECONDS = "5"
_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _UNAVAILABLE, _UNAUTHENTICATED = "3", "8", "14", "16"
_TOO_OFTEN = "this caller asks more often than is allowed"
_TOO_LARGE = "the request is larger than access.data.maxRequestBytes"
_FOREIGN = "the token is for another audience, or cannot be read"
_CANNOT_CHECK = "whether this caller may ask cannot be checked now"
_GRPC: Json = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
_EXTERNAL: Json = {"response_flag_filter": {"flags": ["UAEX"]}}
_PLAIN: Json = {"body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}}


def answers(guard: Guard, caller: str, unchecked: str) -> Json:
    """`caller` and `unchecked` are headers of whom the filters have let in: only then are rates counted."""
    if guard.closed:
        later = _header("retry-after", "5")
        closed = _put(_status(403), guard.closed, "", later, status_code=503)
        return {**V2_ERRORS, "mappers": [*closed, {"filter": _GRPC, **_PLAIN}]}
    access = guard.access
    often = _all(_status(429), {"or_filter": {"filters": [_has(caller), _has(unchecked)]}})
    about_data = _about_data(caller) if access.data else []
    return {
        **V2_ERRORS,
        "mappers": [*_unnamed(caller), *about_data, *_put(often, _TOO_OFTEN), {"filter": _GRPC, **_PLAIN}],
    }


def verdicts() -> Json:
    """What the verifier says of a wrong token, and for how long that may be believed. A token for somebody else is no
    token here (RFC 6750, 3.1); `jwt_authn` says 403, and to nothing else.
    """
    wrong = _added([_header("www-authenticate", _CHALLENGE), _header("x-sluice-max-age", _BELIEVED_SECONDS)])
    foreign = {"body": {"inline_string": _FOREIGN}, "status_code": 401}
    return {
        "mappers": [
            {"filter": _all(_status(403), _has(FORBIDDEN, invert_match=True)), **foreign, **wrong},
            {"filter": _status(401), **wrong},
        ]
    }


def _unnamed(caller: str) -> list[Json]:
    """The gate refuses whom the script in front of it neither named nor refused: it failed, or its cluster is not there
    for the moment in which a router takes over a change.
    """
    nobody = _all(_status(403), *(_has(name, invert_match=True) for name in (caller, FORBIDDEN)))
    return _put(nobody, _CANNOT_CHECK, "", _header("retry-after", "1"), status_code=503)


def _about_data(caller: str) -> list[Json]:
    """What `ext_authz` refuses or cannot find out, and what it lets pass unjudged, which the gate then refuses."""
    later = _header("retry-after", "1")
    unjudged = _all(_status(403), _has(caller))
    return [
        *_put(_all(_EXTERNAL, _status(503)), _CANNOT_CHECK, _UNAVAILABLE, later),
        *_put(_all(_EXTERNAL, _status(403))),
        *_put(unjudged, _CANNOT_CHECK, _UNAVAILABLE, later, status_code=503),
        *_put(_all(_EXTERNAL, _status(401)), grpc=_UNAUTHENTICATED),
        *_put(_status(413), _TOO_LARGE, _RESOURCE_EXHAUSTED),
        *_put(_all(_EXTERNAL, _status(429)), grpc=_RESOURCE_EXHAUSTED),
        *(part for code in (400, 415) for part in _put(_all(_EXTERNAL, _status(code)), grpc=_INVALID_ARGUMENT)),
    ]


def _put(filter_: Json, sentence: str = "", grpc: str = "", *headers: Json, **more: int) -> list[Json]:
    """What is said to gRPC, and to REST; the answer's own words without a sentence."""
    mapped = {"body": {"inline_string": sentence}, **more} if sentence else {}
    told = [*headers, _header(GRPC_STATUS, grpc)] if grpc else list(headers)
    return [
        {"filter": _all(_GRPC, filter_), **mapped, **_added(told), **_PLAIN},
        {"filter": filter_, **mapped, **_added(list(headers))},
    ]


def _added(headers: list[Json]) -> Json:
    return {"headers_to_add": headers} if headers else {}


def _all(*filters: Json) -> Json:
    return {"and_filter": {"filters": list(filters)}}


def _has(name: str, **more: bool) -> Json:
    return {"header_filter": {"header": {"name": name, "present_match": True, **more}}}


def _status(code: int) -> Json:
    wanted = {"default_value": code, "runtime_key": f"access.status_{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": wanted}}}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
