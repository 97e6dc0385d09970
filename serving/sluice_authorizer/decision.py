"""THE PATH of a decision, free of any transport: token -> identity -> access -> rule.

What is known is answered at once. What is not is found out once, however many wait for it. Times are monotonic, but for
the moment at which a token expires.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from sluice_authorizer.apiserver import Crowded, Unavailable
from sluice_authorizer.asked import Asked
from sluice_authorizer.bearer import token_key
from sluice_authorizer.budget import Budget, Rate
from sluice_authorizer.cache import Cache, Entry
from sluice_authorizer.data import rule_question
from sluice_authorizer.flights import Flights
from sluice_authorizer.outcomes import Decision, Grant, Refusal, User, Why
from sluice_authorizer.paths import Form, form_of
from sluice_authorizer.question import Mode, Question
from sluice_authorizer.reviews import REFUSED_SECONDS
from sluice_authorizer.tokens import Looked

SOFT_SECONDS = 10.0
"""From this age on a yes that is in use is asked for anew, in the background."""

HARD_SECONDS = 18.0
"""Nobody uses an older yes. With the 10 s for which an API server itself remembers a token's owner, a token that was
taken back opens nothing after 28 s; a grant that was taken back, which RBAC knows at once, nothing after 18 s. Routers
are told how much of it is left."""

ROUTER_SECONDS = 5.0
"""The longest that a router is told to go on believing an answer."""

MOST_YES, MOST_NO = 8192, 16384
"""Each kind of answer has its own places: a flood of wrong tokens drives no right one out."""

VERIFIED = (Rate(10.0, 50), Rate(100.0, 400))
"""Reviews of new tokens that the cluster's keys have signed: for each account, and for all together."""

FOREIGN = (Rate(2.0, 10), Rate(10.0, 30))
"""Reviews of new tokens that only the API server can judge: for each source address, and for all together."""

_MOST_SOURCES = 4096
_WELL_KNOWN_SECONDS = 3600.0
_BUSY = Refusal(Why.BUSY, "too many new callers at once; try again in a second")
_RAN_OUT = Refusal(Why.BUSY, "the permission ran out while it was checked; try again")
_CANNOT_CHECK = Refusal(Why.UNAVAILABLE, "permission cannot be checked now; try again later")

ReadBody = Callable[[], Awaitable[bytes | Refusal]]

Judge = Callable[[str, bytes], Awaitable[Refusal | None]]
"""Answers the question of a rule (`rules.written`), asked for a model of a namespace: None where the rule holds."""


class Looks(Protocol):
    """Tells of a token what can be told without a review."""

    async def look(self, token: bytes, audiences: tuple[str, ...]) -> Looked | Refusal:
        """Its owner where it is known, or what is wrong with it."""
        ...


class Asks(Protocol):
    """Asks the API server."""

    async def identify(self, token: bytes, audiences: tuple[str, ...]) -> User | Refusal:
        """Whose token it is."""
        ...

    async def permit(self, user: User, namespace: str, name: str) -> bool:
        """Whether the user may."""
        ...


class Decider:
    """Decides, and remembers. `clock`: monotonic seconds, `wall`: Unix time, `judge`: asks rules about data."""

    def __init__(
        self, looks: Looks, asks: Asks, clock: Callable[[], float], wall: Callable[[], float], judge: Judge
    ) -> None:
        self._looks = looks
        self._asks = asks
        self._clock = clock
        self._wall = wall
        self._judge = judge
        self.users: Cache[User] = Cache(MOST_YES)
        self.grants: Cache[bool] = Cache(MOST_YES)
        self.refusals: Cache[Refusal] = Cache(MOST_NO)
        # Tokens that were right within the hour, so that a flood does not keep those out who come back.
        self._well_known: Cache[bool] = Cache(MOST_YES)
        self._finding: Flights[Entry[User] | Refusal] = Flights()
        self._granting: Flights[Entry[bool] | Refusal] = Flights()
        self._verified = Budget(*VERIFIED, _MOST_SOURCES, clock())
        self._foreign = Budget(*FOREIGN, _MOST_SOURCES, clock())

    @property
    def under_way(self) -> int:
        """Questions to the API server that are not answered yet."""
        return len(self._finding) + len(self._granting)

    def at_once(self, asked: Asked) -> Decision | None:
        """What is known, where nothing has to be asked or read for it."""
        question = asked.question
        if question.data is not None and form_of(asked.method, asked.path) is not None:
            return None
        if question.mode is Mode.JWT:
            return self._claimed(asked)
        if isinstance(asked.token, Refusal):
            return asked.token
        user = self._known_user(asked.token, question, token_key(asked.token, question.audiences))
        if user is None or isinstance(user, Refusal):
            return user
        grant = self._known_grant(user.value, question)
        if grant is None or isinstance(grant, Refusal):
            return grant
        return self._granted(user, grant)

    async def decide(self, asked: Asked, read_body: ReadBody) -> Decision:
        """Find out what is not known yet. `read_body` is called where a rule decides about it."""
        question = asked.question
        if question.mode is Mode.JWT:
            decision, claims = self._claimed(asked), asked.claims
        else:
            decision, claims = await self._reviewed(asked)
        if isinstance(decision, Refusal) or isinstance(claims, Refusal) or question.data is None:
            return decision
        form = form_of(asked.method, asked.path)
        if not isinstance(form, Form):
            return form or decision
        body = await read_body()
        if isinstance(body, Refusal):
            return body
        written = await rule_question(asked, form, question.data, claims, body)
        refused = written if isinstance(written, Refusal) else await self._judge(question.namespace, written)
        # Another body may be decided otherwise.
        return refused or replace(decision, max_age=0.0)

    def _claimed(self, asked: Asked) -> Decision:
        """The router has verified the token, and knows who the caller is."""
        claims = asked.claims
        if isinstance(claims, Refusal):
            return claims
        expires = claims.get("exp")
        left = expires - self._wall() if isinstance(expires, (int, float)) else math.inf
        if left <= 0:
            return Refusal(Why.WRONG_TOKEN, "the token has expired")
        return Grant("", min(ROUTER_SECONDS, left))

    async def _reviewed(self, asked: Asked) -> tuple[Decision, Mapping[str, Any]]:
        question, token = asked.question, asked.token
        if isinstance(token, Refusal):
            return token, {}
        key = token_key(token, question.audiences)
        user = self._known_user(token, question, key)
        if user is None:
            user = await self._finding.wait(key, partial(self._find, token, question, key, asked.source))
        if isinstance(user, Refusal):
            return user, {}
        grant = self._known_grant(user.value, question)
        if grant is None:
            grant = await self._granting.wait(_place(user.value, question), partial(self._grant, user.value, question))
        if isinstance(grant, Refusal):
            return grant, {}
        return self._granted(user, grant), _claims(user.value)

    def _known_user(self, token: bytes, question: Question, key: bytes) -> Entry[User] | Refusal | None:
        now = self._clock()
        known = self.users.get(key, now)
        if known is None:
            return self._known_refusal(key, now)
        if known.soft <= now:
            self._finding.join(key, partial(self._find, token, question, key, None))
        return known

    def _known_grant(self, user: User, question: Question) -> Entry[bool] | Refusal | None:
        now, place = self._clock(), _place(user, question)
        known = self.grants.get(place, now)
        if known is None:
            return self._known_refusal(place, now)
        if known.soft <= now:
            self._granting.join(place, partial(self._grant, user, question))
        return known

    def _known_refusal(self, key: Hashable, now: float) -> Refusal | None:
        known = self.refusals.get(key, now)
        return None if known is None else replace(known.value, age=min(ROUTER_SECONDS, known.hard - now))

    async def _find(self, token: bytes, question: Question, key: bytes, source: str | None) -> Entry[User] | Refusal:
        """Find out whose token it is. `source`: who sends it; None where it was good a moment ago.

        An answer is as old as its question: what changes while it is on its way is not in it.
        """
        now, today = self._clock(), self._wall()
        try:
            welcome = source is None or self._well_known.get(key, now) is not None
            found = await self._looked_up(token, question, None if welcome else source)
        except Crowded:
            return _BUSY
        except Unavailable:
            return _CANNOT_CHECK
        if isinstance(found, Refusal):
            return self._refused(key, found, now, self.users)
        left = HARD_SECONDS if found.expires is None else min(HARD_SECONDS, found.expires - today)
        self.users.put(key, found, now, SOFT_SECONDS, left)
        self._well_known.put(key, True, now, _WELL_KNOWN_SECONDS, _WELL_KNOWN_SECONDS)
        return Entry(found, now + SOFT_SECONDS, now + left)

    async def _looked_up(self, token: bytes, question: Question, source: str | None) -> User | Refusal:
        seen = await self._looks.look(token, question.audiences)
        if isinstance(seen, Refusal):
            return seen
        if source is not None:
            budget = self._foreign if seen.subject is None else self._verified
            if not budget.spend(source if seen.subject is None else seen.subject, self._clock()):
                return _BUSY
        return await self._asks.identify(token, question.audiences)

    async def _grant(self, user: User, question: Question) -> Entry[bool] | Refusal:
        """Find out whether the user may."""
        now, place = self._clock(), _place(user, question)
        try:
            allowed = await self._asks.permit(user, question.namespace, question.name)
        except Crowded:
            return _BUSY
        except Unavailable:
            return _CANNOT_CHECK
        if not allowed:
            text = f"{user.name!r} may not create modeldeployments/inference named {question.name!r}"
            return self._refused(place, Refusal(Why.DENIED, text, REFUSED_SECONDS), now, self.grants)
        self.grants.put(place, True, now, SOFT_SECONDS, HARD_SECONDS)
        return Entry(True, now + SOFT_SECONDS, now + HARD_SECONDS)

    def _refused(self, key: Hashable, refusal: Refusal, now: float, instead_of: Cache[Any]) -> Refusal:
        """Remember a refusal that may be remembered, in place of the yes that was."""
        if refusal.age > 0:
            instead_of.drop(key)
            self._well_known.drop(key)
            self.refusals.put(key, refusal, now, refusal.age, refusal.age)
        return replace(refusal, age=max(0.0, min(ROUTER_SECONDS, now + refusal.age - self._clock())))

    def _granted(self, user: Entry[User], grant: Entry[bool]) -> Decision:
        left = min(user.hard, grant.hard) - self._clock()
        return Grant(user.value.name, min(ROUTER_SECONDS, left)) if left > 0 else _RAN_OUT


def _place(user: User, question: Question) -> Hashable:
    return user.key, question.namespace, question.name


def _claims(user: User) -> Mapping[str, Any]:
    """What rules know of a user of the cluster."""
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": user.extra}
