"""Tokens of an issuer, through a real Envoy: what it signed for this audience counts, and what it says there."""

import asyncio
import base64
import itertools
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web

from router.asking import INFER, RULE, raw, refusal, request, routed, said
from router.harness import V1, Bench, Router, eventually, traffic
from router.issuer import AUDIENCE, ISSUER, Issuer
from router.judge import Judge, Pod, bearer, guarded
from router.test_grpc import model
from sluice_operator.routing.base import Traffic
from support.tls import certificate

ELSEWHERE = Issuer(kid="first")


@pytest.fixture(scope="module")
def known() -> Issuer:
    """One whose keys do not change."""
    return Issuer()


def issued(
    issuer: Issuer | str, authorizer: int | None = None, jwt: dict[str, Any] | None = None, **more: Any
) -> Traffic:
    """Traffic for callers with a token; the issuer's keys in the text, or at a URL."""
    keys = {"jwksUri": issuer} if isinstance(issuer, str) else {"jwks": issuer.jwks}
    needed = [{"claim": "dept", "values": ["sales", "ops"]}]
    access = {"mode": "JWT", "jwt": {"issuer": ISSUER, "requiredClaims": needed, **keys, **(jwt or {})}, **more}
    return guarded(access, authorizer, revisions=(V1,))


def wrong(issuer: Issuer) -> dict[str, tuple[int, str]]:
    """Tokens that are none, by what is wrong with them; the status that each gets."""
    now = issuer.claims()["iat"]
    public = issuer.public
    modulus = base64.urlsafe_b64decode(issuer.published[0]["n"] + "==")
    return {
        "garbage": (401, "x.y.z"),
        "no JWT": (401, "abc"),
        "expired": (401, issuer.token(exp=now - 120)),
        "never expires": (401, issuer.token(exp=None)),
        "not yet": (401, issuer.token(nbf=now + 3600)),
        "wrong audience": (401, issuer.token(aud="kubernetes")),
        "no audience": (401, issuer.token(aud=None)),
        "audiences of others": (401, issuer.token(aud=["kubernetes", "sluice.dev.evil"])),
        "wrong issuer": (401, issuer.token(iss="https://login.example.evil")),
        "no issuer": (401, issuer.token(iss=None)),
        "other key of the same name": (401, issuer.token(key=ELSEWHERE.key)),
        "other key of another name": (401, issuer.token(key=ELSEWHERE.key, kid="second")),
        "changed": (401, issuer.changed()),
        "not signed": (401, issuer.token().rpartition(".")[0] + "."),
        "alg none": (401, issuer.by_hand({"alg": "none", "typ": "JWT"}, None)),
        "alg None": (401, issuer.by_hand({"alg": "None", "kid": "first"}, None)),
        "no alg": (401, issuer.by_hand({"typ": "JWT"}, None)),
        "HS256 with the public key": (401, issuer.by_hand({"alg": "HS256", "kid": "first"}, public)),
        "HS256 with the modulus": (401, issuer.by_hand({"alg": "HS256"}, modulus)),
        "HS256 with nothing": (401, issuer.by_hand({"alg": "HS256", "kid": "first"}, b"")),
        "a key of its own": (401, issuer.by_hand({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, b"\0\0\0")),
        "other department": (403, issuer.token(dept="legal")),
        "no department": (403, issuer.token(dept=None)),
        "nobody": (403, issuer.token(sub=None)),
    }


async def test_only_a_token_as_it_should_be_reaches_the_model(bench: Bench, pod: Pod, known: Issuer) -> None:
    router = await routed(bench, pod, issued(known))
    assert (await said(router))[:2] == (401, "a token is needed: Authorization: Bearer ...")
    for what, (wanted, token) in wrong(known).items():
        status, error, headers = await said(router, bearer(token))
        assert (status, bool(error)) == (wanted, True), what
        assert status == 403 or headers["www-authenticate"].startswith("Bearer "), what
    good = known.token()
    for header in (
        f"authorization: Bearer {good}\r\nauthorization: Bearer {good}",
        f"authorization: Bearer {good}\r\nauthorization: Bearer x",
        f"authorization: Bearer {good}, Bearer {good}",
        f"authorization: Bearer {good}.{good}",
        f"authorization: Basic {good}",
        f"authorization: {good}",
        f"cookie: access_token={good}",
        f"x-sluice-claims: {good.split('.')[1]}\r\nx-sluice-caller: anna",
    ):
        assert await raw(router, request(INFER, header)) in {400, 401, 403}, header
    assert await raw(router, request(f"{INFER}?access_token={good}")) == 401
    assert pod.seen == []
    for token in (good, known.token(aud=[AUDIENCE, "other"]), known.token(dept=["legal", "ops"])):
        assert (await said(router, bearer(token) | {"x-sluice-claims": "e30", "x-sluice-caller": "root"}))[0] == 200
    assert (await said(router, bearer(known.token(sub="Zoë, a b"))))[0] == 200
    assert [seen["x-sluice-caller"] for _, seen in pod.seen] == [["anna"]] * 3 + [["Zo%C3%AB%2C%20a%20b"]]
    assert not {"authorization", "x-sluice-claims"} & {name for _, seen in pod.seen for name in seen}


async def test_over_grpc_refusals_are_statuses_and_health_is_open(bench: Bench, known: Issuer, tmp_path: Path) -> None:
    async with model(tmp_path) as one:
        members = {V1: (("127.0.0.1", one.grpc_port or 0),)}
        router = await routed(bench, Pod(), issued(known, rateLimit={"requests": 1, "per": "1h"}), grpc_members=members)
        channel: Any
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            assert await refusal(channel, None) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "a token is needed: Authorization: Bearer ...",
            )
            assert (await refusal(channel, known.token(exp=1)))[0] is grpc.StatusCode.UNAUTHENTICATED
            foreign = (grpc.StatusCode.UNAUTHENTICATED, "the token is for another audience, or cannot be read")
            assert await refusal(channel, known.token(aud="kubernetes")) == foreign
            code, details = await refusal(channel, known.token(dept="legal"))
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert details == "the token's claim dept does not say what is needed here"
            anna = [("authorization", f"Bearer {known.token()}")]
            await channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", metadata=anna)
            assert (await refusal(channel, known.token()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")


async def test_without_the_issuers_keys_nobody_is_let_in_and_health_is_open(bench: Bench, pod: Pod) -> None:
    issuer, address = Issuer(), bench.refusing()
    router = await routed(bench, pod, issued(f"http://{address[0]}:{address[1]}/keys"))
    assert (await said(router, bearer(issuer.token())))[:2] == (401, "Jwks remote fetch is failed")
    assert await raw(router, request("/v2/health/live", method="GET", body="")) == 200
    assert [path for path, _ in pod.seen] == ["/v2/health/live"]


async def test_a_key_that_was_taken_back_counts_no_longer_for_tokens_that_were_used(bench: Bench, pod: Pod) -> None:
    issuer = Issuer()
    server = await bench.upstream(handler=issuer.handle)
    url = f"http://127.0.0.1:{server.port}/keys"
    # One and the same configuration from the start: a change of it would forget what was seen.
    router = await routed(bench, pod, issued(url, jwt={"cacheDuration": "1s"}))
    old = issuer.token()
    await eventually(lambda: lets_in(router, old), "keys")
    issuer.rotate("second")
    await eventually(lambda: lets_in(router, issuer.token()), "the new key")

    async def refused() -> bool:
        return (await said(router, bearer(old)))[0] == 401

    await eventually(refused, "the end of a token whose key was withdrawn, 1 s and 5 s ago at most")
    # What is known counts on while the issuer is away.
    await server.stop()
    assert await lets_in(router, issuer.token())


@pytest.mark.parametrize("changed", [{"issuer": "https://other.example"}, {"jwks": ELSEWHERE.jwks}])
async def test_a_change_of_what_a_token_must_be_forgets_what_was_verified(
    bench: Bench, pod: Pod, known: Issuer, changed: dict[str, Any]
) -> None:
    before, after = issued(known), issued(known, jwt=changed)
    router = await routed(bench, pod, before)
    token, others = known.token(), (known.token(jti=str(number)) for number in itertools.count())

    async def refuses(one: str) -> bool:
        return (await said(router, bearer(one)))[0] == 401

    for _ in range(2):
        await eventually(lambda: lets_in(router, next(others)), "the settings from before")
        assert await lets_in(router, token), "no refusal is remembered under other settings"
        await router.apply(after)
        await eventually(lambda: refuses(next(others)), "the other settings")
        assert await refuses(token)
        await router.apply(before)


async def test_keys_that_routers_cannot_read_keep_no_old_door_open(bench: Bench, pod: Pod, known: Issuer) -> None:
    router = await routed(bench, pod, traffic({V1: 100}, V1))
    assert await raw(router, request(INFER)) == 200
    (good,) = known.published
    # Each alone would have the whole configuration refused, and the one before go on.
    others = [{"kty": "RSA", "n": "!!", "e": "AQAB"}, {"kty": "OKP", "crv": "X25519", "x": "AA"}, "x"]
    text = json.dumps({"keys": [*others, good]})
    limit = {"requests": 5, "per": "720h"}
    await router.apply(issued(known, jwt={"jwks": f'{{"keys": [], {text[1:]}'}, rateLimit=limit))
    assert await raw(router, request(INFER)) == 401
    assert await raw(router, request(INFER, f"authorization: Bearer {known.token()}")) == 200


async def test_a_flood_of_wrong_tokens_ends_at_the_door_and_right_ones_that_are_known_go_on(
    bench: Bench, pod: Pod, known: Issuer, tmp_path: Path
) -> None:
    async with model(tmp_path) as one:
        members = {V1: (("127.0.0.1", one.grpc_port or 0),)}
        router = await routed(bench, pod, issued(known), grpc_members=members)
        good = known.token()
        assert await lets_in(router, good)
        stem, _, signature = good.rpartition(".")
        wrong = (f"{stem}{number}.{signature}" for number in itertools.count())

        async def is_put_off() -> bool:
            status, error, headers = await said(router, bearer(next(wrong)))
            return status == 429 and "too many wrong tokens" in error and int(headers["retry-after"]) >= 1

        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:

            async def is_put_off_over_grpc() -> bool:
                return (await refusal(channel, next(wrong)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED

            for happens in (is_put_off, is_put_off_over_grpc):
                await eventually(lambda happens=happens: any_of_many(happens), "a flood that is put off")  # type: ignore[misc]
                assert await lets_in(router, good)
    assert [seen["x-sluice-caller"] for _, seen in pod.seen] == [["anna"]] * 3


async def any_of_many(happens: Callable[[], Awaitable[bool]]) -> bool:
    """Tried so often at once that no budget keeps pace."""
    return True in await asyncio.gather(*(happens() for _ in range(100)))


async def lets_in(router: Router, token: str) -> bool:
    return (await said(router, bearer(token)))[0] == 200


async def test_keys_over_https_need_a_server_that_is_known(bench: Bench, pod: Pod, tmp_path: Path) -> None:
    issuer, files, others = Issuer(), certificate(tmp_path.parent, "localhost"), certificate(tmp_path.parent, "other")
    port = await _https(bench, issuer, files, tmp_path.parent)
    url = f"https://localhost:{port}/keys"
    trusted, not_trusted = ({"caBundle": found["tls.crt"].decode()} for found in (files, others))
    router = await routed(bench, pod, issued(url, jwt=not_trusted))

    async def has_no_keys() -> bool:
        # In the moment of a change nobody can be checked.
        status, error, _ = await said(router, bearer(issuer.token()))
        assert status in (401, 503)
        return error == "Jwks remote fetch is failed"

    for unknown in (not_trusted, {}):
        await router.apply(issued(url, jwt=unknown))
        await eventually(has_no_keys, "a router without keys")
    assert (pod.seen, issuer.fetched) == ([], 0)
    await router.apply(issued(url, jwt=trusted))
    await eventually(lambda: lets_in(router, issuer.token()), "keys over https")


async def _https(bench: Bench, issuer: Issuer, files: dict[str, bytes], folder: Path) -> int:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    app = web.Application()
    app.router.add_get("/keys", issuer.handle)
    return await bench.site(app, context)


async def test_a_rule_is_asked_with_the_claims_that_were_verified(bench: Bench, pod: Pod, known: Issuer) -> None:
    token = known.token()
    judge = Judge(grants={token: "somebody"})
    authorizer = await bench.upstream(handler=judge.handle)
    router = await routed(bench, pod, issued(known, authorizer.port, data=RULE))
    assert (await said(router, bearer(known.token(exp=1))))[0] == 401
    assert judge.asked == []
    assert (await said(router, bearer(token) | {"x-sluice-claims": "e30", "x-sluice-max-age": "5"}))[0] == 200
    (asked,) = judge.asked
    claims = asked.headers["x-sluice-claims"]
    assert json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"] == "anna"
    assert (asked.question["mode"], asked.question["data"]["rule"]) == ("JWT", RULE["rule"])
    ((_, seen),) = pod.seen
    assert seen["x-sluice-caller"] == ["anna"], "the token says who it is"
    assert not [name for name in seen if name.startswith("x-sluice-") and name != "x-sluice-caller"]
    assert (await said(router, bearer(known.token(sub="ben"))))[:2] == (401, "the token is not known")


async def test_a_rule_that_nobody_can_judge_lets_nobody_in(bench: Bench, known: Issuer, tmp_path: Path) -> None:
    _, port = bench.refusing()
    pod = Pod()
    async with model(tmp_path) as one:
        members = {V1: (("127.0.0.1", one.grpc_port or 0),)}
        router = await routed(bench, pod, issued(known, port, data=RULE), grpc_members=members)
        status, error, headers = await said(router, bearer(known.token()))
        assert (status, error) == (503, "whether this caller may ask cannot be checked now")
        assert headers["retry-after"] == "1"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{router.layout.endpoint_port}") as channel:
            assert await refusal(channel, known.token()) == (grpc.StatusCode.UNAVAILABLE, error)
            assert (await refusal(channel, known.token(dept="legal")))[0] is grpc.StatusCode.PERMISSION_DENIED
    assert pod.seen == []
