"""How a refusal is put (lds.yaml, local_reply_config): the protocol's error shape for REST, plain words for gRPC, and a
sentence where a filter has only a word.
"""

from sluice_operator.api.access import Access
from sluice_operator.routing.envoy_proto import V2_ERRORS, Json

GRPC_STATUS = "x-sluice-grpc-status"
"""Tells the script behind a rule over data which status a refusal is over gRPC: `ext_authz` calls all that it refuses
PERMISSION_DENIED."""

_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _UNAVAILABLE, _UNAUTHENTICATED = "3", "8", "14", "16"
_TOO_OFTEN = "this caller asks more often than is allowed"
_TOO_LARGE = "the request is larger than access.data.maxRequestBytes"
_CANNOT_CHECK = "whether this caller may ask cannot be checked now"
_GRPC: Json = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
_EXTERNAL: Json = {"response_flag_filter": {"flags": ["UAEX"]}}
_PLAIN: Json = {"body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}}


def answers(access: Access, caller: str, unchecked: str) -> Json:
    """`caller` and `unchecked` are headers of whom the filters have let in: only then are rates counted."""
    often = _all(_status(429), {"or_filter": {"filters": [_has(caller), _has(unchecked)]}})
    about_data = _about_data(access, caller) if access.data else []
    return {**V2_ERRORS, "mappers": [*about_data, *_put(often, _TOO_OFTEN), {"filter": _GRPC, **_PLAIN}]}


def _about_data(access: Access, caller: str) -> list[Json]:
    """What `ext_authz` refuses or cannot find out, and what it lets pass unjudged, which the gate then refuses."""
    unjudged = _all(_status(403), _has(caller)) if access.jwt else _status(403)
    return [
        *_put(_all(_EXTERNAL, _status(503)), _CANNOT_CHECK, _UNAVAILABLE, retry=True),
        *_put(_all(_EXTERNAL, _status(403))),
        *_put(unjudged, _CANNOT_CHECK, _UNAVAILABLE, retry=True, status_code=503),
        *_put(_all(_EXTERNAL, _status(401)), grpc=_UNAUTHENTICATED),
        *_put(_status(413), _TOO_LARGE, _RESOURCE_EXHAUSTED),
        *_put(_all(_EXTERNAL, _status(429)), grpc=_RESOURCE_EXHAUSTED),
        *(part for code in (400, 415) for part in _put(_all(_EXTERNAL, _status(code)), grpc=_INVALID_ARGUMENT)),
    ]


def _put(filter_: Json, sentence: str = "", grpc: str = "", *, retry: bool = False, **more: int) -> list[Json]:
    """What is said to gRPC, and to REST; the answer's own words without a sentence."""
    mapped = {"body": {"inline_string": sentence}} if sentence else {}
    later = [_header("retry-after", "1")] if retry else []
    told = [*later, *([_header(GRPC_STATUS, grpc)] if grpc else [])]
    return [
        {"filter": _all(_GRPC, filter_), **mapped, **more, **_headers(told), **_PLAIN},
        {"filter": filter_, **mapped, **more, **_headers(later)},
    ]


def _headers(added: list[Json]) -> Json:
    return {"headers_to_add": added} if added else {}


def _all(*filters: Json) -> Json:
    return {"and_filter": {"filters": list(filters)}}


def _has(name: str) -> Json:
    return {"header_filter": {"header": {"name": name, "present_match": True}}}


def _status(code: int) -> Json:
    wanted = {"default_value": code, "runtime_key": f"access.status_{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": wanted}}}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
