"""A small authorizer that speaks the routers' language: what it answers is written down, and what it was asked."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from router.harness import V1, V2, Upstream
from sluice_operator.api.access import Access
from sluice_operator.routing.base import Authorizer, Guard, Traffic

GOOD, WRONG, FORBIDDEN = "good-token", "wrong-token", "forbidden-token"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Asked:
    """One question."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def question(self) -> Any:
        return json.loads(base64.urlsafe_b64decode(self.headers["x-sluice-authorize"]))


@dataclass
class Judge:
    """`handle` is an upstream's handler. `grants` names callers by token; `max_age` is in seconds."""

    grants: dict[str, str] = field(default_factory=lambda: {GOOD: "anna"})
    max_age: float | None = 5.0
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.raw_path, headers, await request.read()))
        most = self.asked[-1].question.get("data", {}).get("maxRequestBytes")
        if most is not None and len(self.asked[-1].body) > most:
            return web.Response(status=413, text="the body is too large")
        token = headers.get("authorization", "").removeprefix("Bearer ")
        age = {} if self.max_age is None else {"x-sluice-max-age": str(self.max_age)}
        if caller := self.grants.get(token):
            return web.Response(headers={**age, "x-sluice-caller": caller})
        if token == FORBIDDEN:
            return web.Response(status=403, headers=age, text="ben may not create modeldeployments/inference named m")
        challenge = {"www-authenticate": 'Bearer realm="sluice", error="invalid_token"'}
        return web.Response(status=401, headers={**age, **challenge}, text="the token is not known")


@dataclass
class Pod:
    """A model pod that writes down what it sees; `handle` is an upstream's handler."""

    seen: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        self.seen.append((request.raw_path, headers))
        self.bodies.append(await request.read())
        return web.json_response({"path": request.path})


def guarded(access: dict[str, Any], authorizer: Upstream | int | None, **parts: Any) -> Traffic:
    """Traffic of the model `m`, all of it answered by the first revision, for whom `access` lets in."""
    port = authorizer.port if isinstance(authorizer, Upstream) else authorizer
    asked = Authorizer("127.0.0.1", port) if port else None
    guard = Guard(Access.model_validate(access), asked, routers=parts.pop("routers", 1), closed=parts.pop("closed", ""))
    namespace, revisions = parts.pop("namespace", "shop"), parts.pop("revisions", (V1, V2))
    return Traffic(namespace, "m", {V1: 100}, revisions, guard=guard, **parts)
