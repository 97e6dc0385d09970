"""The two questions to the API server: whose token is this, and may that user use this ModelDeployment?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from sluice_authorizer.apiserver import Asks, Json, Unavailable
from sluice_authorizer.outcomes import Refusal, User, Why
from sluice_authorizer.tokens import unverified_expiry

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SELF_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

REFUSED_SECONDS = 8.0
"""How long a no of the API server is believed, router and all: somebody who has just been let in should not wait."""

_NEEDED = (("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews"))


class Reviews:
    """Asks, and reads the answers strictly: a yes is only what says so."""

    def __init__(self, api: Asks) -> None:
        self._api = api

    async def identify(self, token: bytes, audiences: tuple[str, ...]) -> User | Refusal:
        """The user of a token that is meant for one of these audiences.

        Raises:
            Unavailable: nobody can say.
        """
        spec = {"token": token.decode("ascii"), "audiences": list(audiences)}
        status = await self._reviewed(TOKEN_REVIEWS, "authentication.k8s.io/v1", "TokenReview", spec)
        if status.get("authenticated") is not True:
            return Refusal(Why.WRONG_TOKEN, "the cluster does not accept the token", REFUSED_SECONDS)
        # An API server that knows no audiences says nothing of them, and has then not compared them.
        if not set(audiences) & set(status.get("audiences") or ()):
            return Refusal(Why.WRONG_TOKEN, "the token is for another audience", REFUSED_SECONDS)
        return _user(status.get("user") or {}, unverified_expiry(token))

    async def permit(self, user: User, namespace: str, name: str) -> bool:
        """Whether ordinary RBAC, or whatever authorizes in this cluster, lets the user in.

        Raises:
            Unavailable: nobody can say.
        """
        attributes = {
            "namespace": namespace,
            "name": name,
            "verb": "create",
            "group": "sluice.dev",
            "resource": "modeldeployments",
            "subresource": "inference",
        }
        spec: Json = {"resourceAttributes": attributes, "user": user.name, "groups": list(user.groups)}
        whole = {**spec, "uid": user.uid, "extra": user.extra}
        status = await self._reviewed(ACCESS_REVIEWS, "authorization.k8s.io/v1", "SubjectAccessReview", whole)
        return status.get("allowed") is True and status.get("denied") is not True

    async def rights_missing(self) -> list[str]:
        """What this process itself may not ask, and should.

        Raises:
            Unavailable: nobody can say, or its own credentials are refused.
        """
        return [resource for group, resource in _NEEDED if not await self._may_create(group, resource)]

    async def _may_create(self, group: str, resource: str) -> bool:
        spec = {"resourceAttributes": {"verb": "create", "group": group, "resource": resource}}
        status = await self._reviewed(SELF_REVIEWS, "authorization.k8s.io/v1", "SelfSubjectAccessReview", spec)
        return status.get("allowed") is True

    async def _reviewed(self, path: str, version: str, kind: str, spec: Json) -> Mapping[str, Any]:
        answer = await self._api.ask("POST", path, {"apiVersion": version, "kind": kind, "spec": spec})
        status = answer.get("status")
        if not isinstance(status, dict):
            raise Unavailable("the API server's review has no status")
        return status


def _user(found: Mapping[str, Any], expires: float | None) -> User | Refusal:
    name = found.get("username")
    if not isinstance(name, str) or not name:
        return Refusal(Why.WRONG_TOKEN, "the cluster accepts the token, but names no user", REFUSED_SECONDS)
    uid, groups, extra = found.get("uid") or "", tuple(found.get("groups") or ()), dict(found.get("extra") or {})
    key = hashlib.sha256(orjson.dumps([name, uid, groups, extra], option=orjson.OPT_SORT_KEYS)).digest()
    return User(name, uid, groups, extra, key, expires)
