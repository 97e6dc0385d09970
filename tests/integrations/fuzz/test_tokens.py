"""Tens of thousands of hostile tokens, headers, paths and bodies: never a yes, no failure inside, no growth."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controlplane import apiserver
from controlplane.apiserver import ApiServer
from controlplane.authorizer.conftest import Shop, shop_of
from controlplane.authorizer.process import Authorizer, authorizer, question
from support.hostile_tokens import GOOD_BODY, HostileTokens
from support.process import open_files, rss_bytes
from support.throwing import throw

COUNT = 40_000
EXPECTED = {0, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431}
GROWTH = 0.10
RULE = {"entities": ["store_id"], "rule": "entities.store_id.size() > 0 && entities.store_id.all(s, s == 42)"}


def expired(server: ApiServer, token: str) -> str:
    """The token as the cluster itself would have signed it yesterday."""
    key = load_pem_private_key((server.kubeconfig.parent / "service-accounts.key").read_bytes(), None)
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    claims |= {"iat": time.time() - 90_000, "nbf": time.time() - 90_000, "exp": time.time() - 1}
    signed: str = jwt.encode(claims, key, "ES256", headers=jwt.get_unverified_header(token))  # type: ignore[arg-type]
    return signed


def hostile(server: ApiServer, shop: Shop, seed: int) -> HostileTokens:
    allowed = shop.token("app", "--audience=sluice.dev", "--duration=2h")
    namespace = shop.kube.namespace
    return HostileTokens(
        sound=shop.token("nobody", "--audience=sluice.dev", "--duration=2h"),
        stale=expired(server, allowed),
        allowed=allowed,
        question=question(namespace),
        bound=question(namespace, data=RULE),
        key_set=json.loads(shop.kube.raw("/openid/v1/jwks")),
        seed=seed,
    )


def let_in(running: Authorizer, makes: HostileTokens) -> None:
    """Who may is still let in, with the right data."""
    assert running.ask(makes.question, makes.allowed).status_code == 200
    headers = {"content-type": "application/json"}
    assert running.ask(makes.bound, makes.allowed, content=GOOD_BODY, headers=headers).status_code == 200


@pytest.mark.timeout(1800)
def test_no_hostile_question_is_answered_with_a_yes(tmp_path: Path) -> None:
    with apiserver.running(tmp_path) as server, shop_of(server, tmp_path) as shop:
        with authorizer(shop.kubeconfig, tmp_path / "authorizer.log") as running:
            makes, pid = hostile(server, shop, seed=1), running.process.pid
            let_in(running, makes)
            seen = asyncio.run(throw(running.port, makes.requests(COUNT // 2)))
            rss, files = rss_bytes(pid), open_files(pid)
            seen += asyncio.run(throw(running.port, makes.requests(COUNT // 2)))
            assert set(seen) <= EXPECTED, seen
            assert seen[401] > COUNT / 4, seen
            let_in(running, makes)
            assert rss_bytes(pid) <= (1 + GROWTH) * rss
            assert open_files(pid) <= files + 2
            reviews = running.metric("sluice_authorizer_api_requests_total", kind="tokenreviews")
            assert reviews < COUNT / 50, reviews
        log = running.log.read_text()
        assert '"exception"' not in log
        for part in (*makes.allowed.split("."), makes.sound.split(".")[2]):
            assert part not in log
        assert base64.urlsafe_b64encode(b"secret").decode() not in log
