"""The routers' scripts, run by the interpreter that Envoy has, with its few functions at hand and a clock to turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
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


@pytest.mark.parametrize("authorization", MALFORMED)
def test_what_is_no_token_is_refused_without_asking_anybody(authorization: str | None) -> None:
    envoy = kubernetes(allow=True)
    said = envoy.request(authorization)
    assert (said.status, said.caller, envoy.asked) == (401, None, [])
    assert said.answer == {":status": "401", "www-authenticate": 'Bearer realm="sluice"'}
    assert "x-sluice-unchecked" not in said.headers


@pytest.mark.parametrize(
    "authorization", ["Bearer good", "bearer good", f"BEARER{' ' * 8}good", "Bearer a.b-c_d~e+f/g=="]
)
def test_whatever_has_the_form_of_a_token_is_asked_about(authorization: str) -> None:
    envoy = kubernetes()
    envoy.authorizer = {authorization: granted("anna")}
    assert envoy.request(authorization).caller == "anna"


def test_the_authorizer_is_told_the_request_the_token_and_the_question() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD, "/v2/models/m/infer?x=1", **{"x-forwarded-for": "10.0.0.1", "x-other": "1"})
    assert envoy.asked == [
        (
            "strangers",
            {
                ":method": "POST",
                ":path": "/authorize/v2/models/m/infer?x=1",
                ":authority": "authorizer:8080",
                "authorization": GOOD,
                "x-sluice-authorize": "q",
                "x-forwarded-for": "10.0.0.1",
            },
        )
    ]


def test_an_answer_is_remembered_for_its_own_token_alone() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna"), OTHER: granted("ben"), WRONG: refused(403)}
    for _ in range(3):
        assert [envoy.request(GOOD).caller, envoy.request(OTHER).caller] == ["anna", "ben"]
        said = envoy.request(WRONG)
        assert (said.status, said.text, said.caller) == (403, "said with 403", None)
    assert len(envoy.asked) == 3


@pytest.mark.parametrize(("age", "believed"), [(2, 1999), (5, 4999), (1000, 4999), (0.25, 249)])
def test_no_answer_is_believed_longer_than_the_authorizer_says_and_never_longer_than_5_s(
    age: float, believed: int
) -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna", age)}
    envoy.request(GOOD)
    envoy.authorizer = {}
    envoy.now += believed
    assert envoy.request(GOOD).caller == "anna"
    envoy.now += 1
    assert envoy.request(GOOD).status == 503


@pytest.mark.parametrize("step", [-1, -10_000, -100_000_000])
def test_a_clock_that_is_set_back_makes_nothing_younger(step: int) -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: refused(403)}
    envoy.now += step
    assert envoy.request(GOOD).status == 403


def test_a_permission_that_was_taken_back_ends_in_time_and_a_new_one_begins_in_half_of_it() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: refused(403)}
    envoy.now += 5000
    assert envoy.request(GOOD).status == 403
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.now += 2499
    assert envoy.request(GOOD).status == 403
    envoy.now += 1
    assert envoy.request(GOOD).caller == "anna"


def test_at_half_of_its_life_one_request_renews_an_entry() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.now += 2500
    for _ in range(5):
        assert envoy.request(GOOD).caller == "anna"
    assert [cluster for cluster, _ in envoy.asked] == ["strangers", "known"]


@pytest.mark.parametrize("trouble", [NOBODY, OVERLOADED, refused(429, None), ({":status": "500"}, "")])
def test_while_the_authorizer_has_no_answer_what_is_known_counts_to_its_end(trouble: Answer) -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: trouble}
    envoy.now += 4999
    said = envoy.request(GOOD)
    assert (said.caller, said.headers.get("x-sluice-unchecked")) == ("anna", None)


@pytest.mark.parametrize(
    "answer",
    [
        NOBODY,
        OVERLOADED,
        ({":status": "503", "retry-after": "1", "x-sluice-max-age": "5"}, "later"),
        ({":status": "500", "x-sluice-caller": "anna", "x-sluice-max-age": "5"}, ""),
        ({":status": "404"}, ""),
        ({":status": "204", "x-sluice-caller": "anna"}, ""),
        ({":status": "200", "x-sluice-max-age": "5"}, "no name"),
        ({":status": "200", "x-sluice-caller": "", "x-sluice-max-age": "5"}, ""),
    ],
)
def test_what_is_no_answer_lets_nobody_in_and_is_not_remembered(answer: Answer) -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: answer}
    said = envoy.request(GOOD)
    assert (said.status, said.caller, said.answer and said.answer["retry-after"]) == (503, None, "1")
    envoy.authorizer = {GOOD: granted("anna")}
    assert envoy.request(GOOD).caller == "anna"


def test_nobody_answering_is_asked_twice_and_one_who_says_later_once() -> None:
    envoy = kubernetes()
    envoy.request(GOOD)
    assert len(envoy.asked) == 2
    envoy.authorizer = {OTHER: refused(503, None, **{"retry-after": "1"})}
    envoy.request(OTHER)
    assert len(envoy.asked) == 3


def test_allow_lets_the_unchecked_in_says_so_and_refuses_whom_the_authorizer_refuses() -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {WRONG: refused(401), OTHER: refused(429, None)}
    said = envoy.request(GOOD)
    assert (said.answer, said.caller, said.headers["x-sluice-unchecked"]) == (None, None, "true")
    assert [envoy.request(WRONG).status, envoy.request(OTHER).status] == [401, 429]
    for _ in range(10):
        envoy.request(GOOD)
    assert envoy.warnings == 1
    envoy.now += 1000
    envoy.request(GOOD)
    assert envoy.warnings == 2


@pytest.mark.parametrize(
    ("answer", "let_in"),
    [
        *((refused(status, None), False) for status in (204, 302, 404, 408, 431, 500, 502, 503, 504)),
        *((refused(503, None, **{name: "1"}), False) for name in ("retry-after", "x-sluice-max-age")),
        (({":status": "502"}, ""), False),
        (refused(503, None, **{"x-sluice-unavailable": "true", "retry-after": "1"}), True),
        (({":status": "504"}, "upstream request timeout"), True),
        (NOBODY, True),
    ],
)
def test_the_unchecked_are_let_in_only_while_nobody_could_check_them(answer: Answer, let_in: bool) -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: answer}
    said = envoy.request(GOOD)
    assert (said.status, "x-sluice-unchecked" in said.headers) == ((200, True) if let_in else (503, False))


def test_a_flood_lets_nobody_in_even_where_the_unchecked_are_allowed() -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: OVERLOADED}
    assert envoy.request(GOOD).status == 503


def test_a_refusal_that_may_not_be_remembered_is_not_and_ends_the_permission() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    envoy.authorizer = {GOOD: refused(403, None)}
    envoy.now += 2500
    assert envoy.request(GOOD).status == 403
    envoy.authorizer = {}
    assert envoy.request(GOOD).status == 503


def test_a_refusal_says_what_the_authorizer_said() -> None:
    envoy = kubernetes()
    envoy.authorizer = {WRONG: refused(401, 5, **{"www-authenticate": "Bearer error=x", "x-secret": "no"})}
    for _ in range(2):
        said = envoy.request(WRONG)
        assert said.answer == {":status": "401", "www-authenticate": "Bearer error=x"}


def test_a_flood_of_wrong_tokens_pushes_no_right_one_out_and_stays_within_bounds() -> None:
    envoy = kubernetes()
    envoy.authorizer = {GOOD: granted("anna")}
    envoy.request(GOOD)
    tokens = [f"Bearer {number}{'x' * 1000}" for number in range(10_000)]
    envoy.authorizer |= dict.fromkeys(tokens, refused(401))
    for token in tokens:
        envoy.request(token)
    asked = len(envoy.asked)
    assert envoy.request(GOOD).caller == "anna"
    assert len(envoy.asked) == asked
    kib = envoy.lua.eval("(function() collectgarbage() return collectgarbage('count') end)()")
    assert kib < 10 * 1024, "two generations of at most 2 MiB of tokens, and what stands beside them"


def test_many_right_tokens_stay_within_bounds() -> None:
    envoy = kubernetes()
    tokens = [f"Bearer {number}" for number in range(20_000)]
    envoy.authorizer = dict.fromkeys(tokens, granted("anna"))
    for token in tokens:
        envoy.request(token)
    asked = len(envoy.asked)
    again = sum(envoy.request(token).caller == "anna" and len(envoy.asked) == asked for token in tokens[-4096:])
    assert again == 4096
    envoy.request(tokens[0])
    assert len(envoy.asked) == asked + 1


SALES = {"claim": "dept", "values": ["sales", "ops"]}


@pytest.mark.parametrize(
    ("claims", "required"),
    [
        ({"dept": "sales"}, SALES),
        ({"dept": ["legal", "ops"]}, SALES),
        ({"scope": "read infer"}, {"claim": "scope", "values": ["infer"]}),
        ({"realm": {"roles": ["infer"]}}, {"claim": "realm.roles", "values": ["infer"]}),
        ({"https://shop.example/dept": "sales"}, {"claim": "https://shop.example/dept", "values": ["sales"]}),
        ({"level": 3.0}, {"claim": "level", "values": ["3"]}),
        ({"staff": True}, {"claim": "staff", "values": ["true"]}),
    ],
)
def test_a_claim_is_one_of_its_values_or_holds_one(claims: dict[str, Any], required: dict[str, Any]) -> None:
    said = jwt({"sub": "anna", **claims}, "sub", required)
    assert (said.status, said.caller) == (200, "anna")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"dept": ""},
        {"dept": "sale"},
        {"dept": "sales ops"},
        {"dept": "SALES"},
        {"dept": []},
        {"dept": {"sales": True}},
        {"dept": [["sales"]]},
        {"dept": True},
    ],
)
def test_a_token_without_what_is_needed_is_refused(claims: dict[str, Any]) -> None:
    said = jwt({"sub": "anna", **claims}, "sub", SALES)
    assert (said.status, said.caller) == (403, None)
    assert "dept" in said.text


def test_every_required_claim_is_needed() -> None:
    level = {"claim": "level", "values": ["3"]}
    assert jwt({"sub": "anna", "dept": "sales"}, "sub", SALES, level).status == 403
    assert jwt({"sub": "anna", "dept": "sales", "level": "3"}, "sub", SALES, level).caller == "anna"


@pytest.mark.parametrize(
    ("claims", "claim", "caller"),
    [
        ({"sub": "anna"}, "sub", "anna"),
        ({"email": "a+b@shop.example"}, "email", "a%2Bb@shop.example"),
        ({"sub": "Zoë\r\nx: y"}, "sub", "Zo%C3%AB%0D%0Ax:%20y"),
        ({"sub": 42.0}, "sub", "42"),
        ({"user": {"name": "anna"}}, "user.name", "anna"),
    ],
)
def test_the_caller_is_named_in_the_characters_of_a_header(claims: dict[str, Any], claim: str, caller: str) -> None:
    assert jwt(claims, claim).caller == caller


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": ["anna"]}, {"sub": 1e300}, {"sub": "x" * 257}])
def test_who_has_no_name_is_not_let_in(claims: dict[str, Any]) -> None:
    said = jwt(claims)
    assert (said.status, said.caller) == (403, None)


@pytest.mark.parametrize(("expires", "age"), [(1900.0, "5.000"), (973.5, "3.500"), (970.0, "0.000"), (969.0, "0.000")])
def test_a_verdict_is_believed_for_seconds_and_never_longer_than_the_token_lives(expires: float, age: str) -> None:
    said = jwt({"sub": "anna", "exp": expires})
    assert said.answer == {
        ":status": "200",
        "x-sluice-caller": "anna",
        "x-sluice-claims": "e30",
        "x-sluice-max-age": age,
    }


def test_a_verifier_has_no_answer_to_a_question_about_other_settings() -> None:
    said = jwt({"sub": "anna"}, question="other")
    assert (said.answer, said.caller) == (None, None)


def test_the_claims_of_a_caller_are_remembered_with_its_name() -> None:
    envoy = kubernetes()
    answer, text = granted("anna")
    envoy.authorizer = {GOOD: (answer | {"x-sluice-claims": "e30"}, text), OTHER: granted("ben")}
    for _ in range(2):
        assert [envoy.request(token).headers.get("x-sluice-claims") for token in (GOOD, OTHER)] == ["e30", None]


def wrong(envoy: Envoy, count: int, answer: Answer) -> list[int]:
    """Statuses of so many new tokens, all answered so, at once."""
    tokens = [f"Bearer {len(envoy.asked)}.{number}" for number in range(count)]
    envoy.authorizer |= dict.fromkeys(tokens, answer)
    return [envoy.request(token).status for token in tokens]


@pytest.mark.parametrize("status", [401, 403, 429])
def test_an_address_has_a_budget_of_refusals_and_a_right_token_goes_on(status: int) -> None:
    envoy = kubernetes(allow=True)
    envoy.authorizer = {GOOD: granted("anna"), OTHER: granted("ben")}
    envoy.request(GOOD)
    assert wrong(envoy, 45, refused(status)) == [status] * 40 + [429] * 5
    asked = len(envoy.asked)
    said = envoy.request(OTHER)
    assert (said.status, said.answer and said.answer["retry-after"]) == (429, "1")
    assert "x-sluice-unchecked" not in said.headers
    assert len(envoy.asked) == asked
    # What was right before is asked about, also when it is not believed any more.
    for step in (0, 2500, 5000):
        envoy.now += step
        wrong(envoy, 200, refused(status))
        assert envoy.request(GOOD).caller == "anna"
    envoy.source = "10.0.0.2"
    assert envoy.request(OTHER).caller == "ben"


def test_a_budget_fills_by_20_refusals_a_second() -> None:
    envoy = kubernetes()
    assert wrong(envoy, 60, refused(401)).count(401) == 40
    envoy.now += 1000
    assert wrong(envoy, 60, refused(401)).count(401) == 20
    envoy.now += 3_600_000
    assert wrong(envoy, 60, refused(401)).count(401) == 40


def test_a_refusal_that_is_remembered_is_charged_once_and_right_tokens_never() -> None:
    envoy = kubernetes()
    envoy.authorizer = {WRONG: refused(401), **{f"Bearer {number}": granted("anna") for number in range(100)}}
    assert {envoy.request(WRONG).status for _ in range(100)} == {401}
    assert {envoy.request(f"Bearer {number}").status for number in range(100)} == {200}
    assert wrong(envoy, 60, refused(401)).count(401) == 39


@pytest.mark.parametrize("step", [-1, -5_000, -3_600_000])
def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_two_seconds(step: int) -> None:
    envoy = kubernetes()
    wrong(envoy, 60, refused(401))
    envoy.now += step
    postponed = 0
    for number in range(100):
        envoy.authorizer = {f"Bearer {number}": granted("anna")}
        envoy.now += 100
        postponed += envoy.request(f"Bearer {number}").status == 429
    assert postponed <= 21


@pytest.mark.parametrize("answer", [NOBODY, refused(503, None), (refused(401)[0], "Jwks remote fetch is failed")])
def test_what_says_nothing_of_a_token_is_charged_to_nobody_and_not_remembered(answer: Answer) -> None:
    envoy = kubernetes()
    assert len(set(wrong(envoy, 100, answer))) == 1
    envoy.authorizer = {"Bearer 0.0": granted("anna")}
    assert envoy.request("Bearer 0.0").caller == "anna"
