"""The routers' scripts in the interpreter that Envoy has, with its few functions at hand and a clock to turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lupa.luajit21 import LuaRuntime

from sluice_operator.routing import envoy_access

SCRIPTS = Path(envoy_access.__file__).parent
GOOD, OTHER, WRONG = "Bearer good", "Bearer other", "Bearer wrong"
SETTINGS = {"question": "q", "authority": "authorizer:8080", "known": "known", "strangers": "strangers", "allow": False}
SERVED = {"x-envoy-upstream-service-time": "1"}
"""What Envoy adds to an answer that comes from a server."""
Answer = tuple[dict[str, str], str]


def granted(caller: str, age: float = 5) -> Answer:
    return {":status": "200", **SERVED, "x-sluice-caller": caller, "x-sluice-max-age": str(age)}, ""


def refused(status: int, age: float | None = 5, **headers: str) -> Answer:
    kept = {} if age is None else {"x-sluice-max-age": str(age)}
    return {":status": str(status), **SERVED, **kept, **headers}, f"said with {status}"


NOBODY: Answer = ({":status": "503"}, "upstream connect error")
OVERLOADED: Answer = ({":status": "503", "x-envoy-overloaded": "true"}, "upstream connect error")


@dataclass
class Envoy:
    """What a script sees of a router: one request after another, an authorizer, the time in milliseconds."""

    settings: dict[str, Any]
    files: tuple[str, ...]
    authorizer: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    now: int = 1_000_000
    warnings: int = 0
    source: str = "10.0.0.1"
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lua = LuaRuntime(unpack_returned_tuples=True)
        self.lua.execute("\n".join((SCRIPTS / name).read_text() for name in self.files))

    def request(self, authorization: str | None, path: str = "/v2", **headers: str) -> Said:
        said = Said({":path": path, ":method": "POST", **headers})
        if authorization is not None:
            said.headers["authorization"] = authorization
        self.lua.globals().envoy_on_request(self._handle(said))
        return said

    def _handle(self, said: Said) -> Any:
        handle = {
            "headers": lambda _: self._headers(said),
            "timestamp": lambda _: self.now,
            "filterContext": lambda _: self._got(self.settings),
            "httpCall": lambda _, cluster, headers, *__: self._call(cluster, dict(headers)),
            "respond": lambda _, headers, text: said.respond(dict(headers), text),
            "logWarn": lambda *_: self._warned(),
            "streamInfo": lambda _: self._stream(),
        }
        return self._table(handle)

    def _stream(self) -> Any:
        return self._table(
            {
                "dynamicMetadata": lambda _: self._got(self.metadata),
                "downstreamDirectRemoteAddress": lambda _: f"{self.source}:{40_000 + len(self.asked)}",
            }
        )

    def _headers(self, said: Said) -> Any:
        return self._table(
            {"get": lambda _, name: said.headers.get(name), "replace": lambda _, *pair: said.headers.update([pair])}
        )

    def _got(self, values: dict[str, Any]) -> Any:
        return self._table({"get": lambda _, name: self._deep(values.get(name))})

    def _deep(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.lua.table_from({key: self._deep(part) for key, part in value.items()})
        return self.lua.table_from([self._deep(part) for part in value]) if isinstance(value, list) else value

    def _table(self, values: dict[str, Any]) -> Any:
        return self.lua.table_from(values)

    def _call(self, cluster: str, headers: dict[str, str]) -> Any:
        self.asked.append((cluster, headers))
        answer, text = self.authorizer.get(headers["authorization"], NOBODY)
        return self.lua.table_from(answer), text

    def _warned(self) -> None:
        self.warnings += 1


@dataclass
class Said:
    """What became of a request: the headers with which it goes on, or the answer."""

    headers: dict[str, str]
    answer: dict[str, str] | None = None
    text: str = ""

    def respond(self, answer: dict[str, str], text: str) -> None:
        assert self.answer is None, "one answer a request"
        self.answer, self.text = answer, text

    @property
    def status(self) -> int:
        return int(self.answer[":status"]) if self.answer else 200

    @property
    def caller(self) -> str | None:
        return (self.answer or self.headers).get("x-sluice-caller")


def kubernetes(**settings: Any) -> Envoy:
    files = ("envoy_bearer.lua", "envoy_memory.lua", "envoy_refusals.lua", "envoy_authorizer.lua")
    return Envoy(SETTINGS | settings, files)


def jwt(claims: dict[str, Any], caller: str = "sub", *required: dict[str, Any], question: str = "q") -> Said:
    """What the verifier answers about a token with these claims, which were verified."""
    envoy = Envoy({"question": "q", "required": list(required), "caller": caller, "skew": 30}, ("envoy_claims.lua",))
    envoy.metadata = {"envoy.filters.http.jwt_authn": {"claims": {"exp": 1_900.0, **claims}}}
    return envoy.request(GOOD, **{"x-sluice-authorize": question, "x-sluice-claims": "e30"})


MALFORMED = [
    *(None, "", "Bearer", "Bearer ", "good", "Basic Z29vZA==", "Bearer good,Bearer other", "Bearer good, Bearer good"),
    *("Bearer go od", "Bearer good ", "Bearer\tgood", "Bearer good;x", "Bearer good\n", "Bearer =", "Bearer gööd"),
    *(f"Bearer {'x' * 16384}", f"Bearer{' ' * 9}good"),
]
