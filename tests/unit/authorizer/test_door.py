"""HTTP in and out: each decision has its own answer, and none says too much."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from sluice_authorizer.decision import Decider
from sluice_authorizer.door import LONGEST_CALLER, Entrance, answer_of
from sluice_authorizer.metrics import Metrics
from sluice_authorizer.outcomes import Grant, Refusal, Why
from unit.authorizer.parts import NOW, Asking, Clock, Looking, judge_here, question, user


def headers_of(decision: Grant | Refusal) -> dict[bytes, bytes]:
    return dict(answer_of(decision)[1])


def test_a_grant_names_the_caller_and_its_age():
    status, headers, body = answer_of(Grant("system:serviceaccount:shop:app", 4.9999))
    assert (status, body) == (200, b"")
    assert headers == [(b"x-sluice-caller", b"system:serviceaccount:shop:app"), (b"x-sluice-max-age", b"4.999")]


def test_a_caller_without_a_name_has_none():
    assert b"x-sluice-caller" not in headers_of(Grant("", 1.0))


@given(st.text(min_size=1, max_size=400))
def test_any_name_fits_a_header(name):
    encoded = headers_of(Grant(name.encode("utf-8", "replace").decode(), 1.0))[b"x-sluice-caller"]
    assert len(encoded) <= LONGEST_CALLER
    assert all(0x21 <= byte <= 0x7E for byte in encoded)
    plain = unquote(encoded.decode(), errors="strict" if len(encoded) < LONGEST_CALLER - 12 else "ignore")
    assert name.encode("utf-8", "replace").decode().startswith(plain)


@pytest.mark.parametrize("why", Why)
def test_each_refusal_has_its_status_and_headers(why):
    status, headers, body = answer_of(Refusal(why, "because", 2.5))
    told = dict(headers)
    assert (status, body) == (why.status, b"because")
    assert told[b"x-sluice-max-age"] == b"2.500"
    assert (b"www-authenticate" in told) == (status == 401)
    assert (b"retry-after" in told) == (status in (429, 503))
    assert b"x-sluice-caller" not in told


def test_what_may_not_be_remembered_says_nothing_of_it():
    assert b"x-sluice-max-age" not in headers_of(Refusal(Why.DENIED, "no"))


def test_only_what_cannot_be_checked_is_unavailable():
    """A router may be told to let callers in on that: nothing that a caller can bring about may say so."""
    marked = [why for why in Why if headers_of(Refusal(why, "because")).get(b"x-sluice-unavailable") == b"true"]
    assert marked == [why for why in Why if why.status == 503] == [Why.UNAVAILABLE]


class House:
    def __init__(self, asks: Any = None) -> None:
        self.registry = CollectorRegistry()
        clock = Clock()
        asks = asks or Asking({b"secret": user()}, {("ann", "m")})
        decider = Decider(Looking(), asks, clock, Clock(NOW), judge_here)
        self.entrance = Entrance(decider, Metrics(self.registry), clock)

    async def ask(
        self, path: bytes, *headers: tuple[bytes, bytes], method: str = "POST", body: tuple[bytes, ...] = (b"",)
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[Any] = []
        pieces = [
            {"type": "http.request", "body": piece, "more_body": place < len(body) - 1}
            for place, piece in enumerate(body)
        ]
        pieces.append({"type": "http.disconnect"})

        async def receive() -> Any:
            return pieces.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path.partition(b"?")[0].decode("latin-1"),
            "raw_path": path.partition(b"?")[0],
            "headers": list(headers),
            "client": ("10.0.0.1", 1),
        }
        await self.entrance(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


QUESTION = (b"x-sluice-authorize", question())
TOKEN = (b"authorization", b"Bearer secret")


async def test_a_question_gets_its_answer():
    house = House()
    status, headers, _ = await house.ask(b"/authorize/v2/models/m/infer", QUESTION, TOKEN)
    assert (status, headers[b"x-sluice-caller"]) == (200, b"ann")
    assert (await house.ask(b"/authorize/v2/models/m/infer", QUESTION))[0] == 401
    assert (await house.ask(b"/authorize/v2/models/m/infer", TOKEN))[0] == 403
    text = generate_latest(house.registry).decode()
    assert 'sluice_authorizer_decisions_total{result="allowed"} 1.0' in text
    assert 'sluice_authorizer_decisions_total{result="no_token"} 1.0' in text


async def test_a_body_comes_in_pieces_and_is_bounded():
    data = {"entities": ["s"], "rule": "entities.s[0] == 1", "maxRequestBytes": 100}
    asks = (b"x-sluice-authorize", question(data=data))
    text = b'{"inputs":[{"name":"s","datatype":"INT8","shape":[1],"data":[1]}]}'
    house = House()
    assert (await house.ask(b"/authorize/v2/models/m/infer", asks, TOKEN, body=(text[:9], text[9:])))[0] == 200
    assert (await house.ask(b"/authorize/v2/models/m/infer", asks, TOKEN, body=(text, b" " * 100)))[0] == 413


@pytest.mark.parametrize("headers", [(QUESTION,), (TOKEN,)])
async def test_a_body_that_nobody_reads_to_its_end_ends_its_connection(headers):
    house, path = House(), b"/authorize/v2/models/m/infer"
    _, short, _ = await house.ask(path, *headers, body=(b"a", b"b"))
    assert b"connection" not in short
    _, long, _ = await house.ask(path, *headers, body=(b"a" * 70_000, b"b"))
    assert long[b"connection"] == b"close"


async def test_a_fault_inside_lets_nobody_in_and_says_nothing():
    class Broken(Asking):
        async def permit(self, *_: Any) -> bool:
            raise RuntimeError("secret details")

    house = House(Broken({b"secret": user()}))
    status, headers, body = await house.ask(b"/authorize/v2", QUESTION, TOKEN)
    assert status == 429
    assert b"x-sluice-unavailable" not in headers
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/livez", 200),
        (b"/readyz", 503),
        (b"/metrics", 200),
        (b"/", 404),
        (b"/authorize", 404),
        (b"/authorizex/v2", 404),
        (b"/v2/models/m/infer", 404),
    ],
)
async def test_what_it_says_about_itself(path, status):
    assert (await House().ask(path, method="GET"))[0] == status


async def test_one_that_leaves_is_not_ready():
    house = House()
    house.entrance.ready = True
    assert (await house.ask(b"/readyz", method="GET"))[0] == 200
    house.entrance.leaving = True
    assert (await house.ask(b"/readyz", method="GET"))[0] == 503
    assert (await house.ask(b"/authorize/v2", QUESTION, TOKEN))[0] == 200
