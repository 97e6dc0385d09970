"""Permission by the real API server: who may is let in, everybody else is not, and little is asked of it."""

import base64
import json
import signal
from pathlib import Path

import pytest

from controlplane.apiserver import HOST, write_kubeconfig
from controlplane.authorizer.conftest import Shop
from controlplane.authorizer.process import Authorizer, authorizer, question, until
from support.ports import free_port

BODY = b'{"inputs":[{"name":"store_id","datatype":"INT64","shape":[1],"data":[42]}]}'
JSON = {"content-type": "application/json"}


def reviews(running: Authorizer) -> float:
    return running.metric("sluice_authorizer_api_requests_total", kind="tokenreviews")


def test_who_was_granted_the_right_is_let_in_by_name(shop: Shop, running: Authorizer) -> None:
    token = shop.token("app")
    answer = running.ask(question(shop.kube.namespace), token)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-caller"] == f"system:serviceaccount:{shop.kube.namespace}:app"
    assert 0 < float(answer.headers["x-sluice-max-age"]) <= 5
    before = reviews(running)
    assert all(running.ask(question(shop.kube.namespace), token).status_code == 200 for _ in range(20))
    assert reviews(running) <= before + 5


def test_a_right_is_for_one_name_and_one_namespace(shop: Shop, running: Authorizer) -> None:
    token = shop.token("app")
    for asked in (question(shop.kube.namespace, "other"), question("default")):
        answer = running.ask(asked, token)
        assert answer.status_code == 403
        assert "x-sluice-caller" not in answer.headers
    assert running.ask(question(shop.kube.namespace), shop.token("nobody")).status_code == 403


@pytest.mark.parametrize("flags", [(), ("--audience=other",), ("--audience=https://kubernetes.default.svc",)])
def test_a_token_for_another_audience_is_wrong(shop: Shop, running: Authorizer, flags: tuple[str, ...]) -> None:
    token = shop.kube.run("create", "token", "app", *flags).strip()
    before = reviews(running)
    answer = running.ask(question(shop.kube.namespace), token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert reviews(running) == before


def test_without_a_token_nobody_is_let_in(shop: Shop, running: Authorizer) -> None:
    answer = running.ask(question(shop.kube.namespace))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="sluice"'


def test_a_flood_of_forged_tokens_asks_the_api_server_nothing(shop: Shop, running: Authorizer) -> None:
    head, body, signature = shop.token("app").split(".")
    before = reviews(running)
    for number in range(300):
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        forged = base64.urlsafe_b64encode(json.dumps({**claims, "jti": str(number)}).encode()).decode().rstrip("=")
        answer = running.ask(question(shop.kube.namespace), f"{head}.{forged}.{signature}")
        assert answer.status_code == 401
    assert reviews(running) == before
    assert running.ask(question(shop.kube.namespace), shop.token("app")).status_code == 200


def test_a_rule_binds_the_data(shop: Shop, running: Authorizer) -> None:
    rule = "entities.store_id.all(s, s == 42) && claims.username.endsWith(':app')"
    asked = question(shop.kube.namespace, data={"entities": ["store_id"], "rule": rule})
    token = shop.token("app")
    assert running.ask(asked, token, content=BODY, headers=JSON).status_code == 200
    assert running.ask(asked, token, content=BODY.replace(b"42", b"43"), headers=JSON).status_code == 403
    large = BODY.replace(b"[42]", b"[" + b"42," * 40_000 + b"42]").replace(b"[1]", b"[40001]")
    assert running.ask(asked, token, content=large, headers=JSON).status_code == 403
    assert running.ask(asked, token, content=b" " * 2_000_000 + BODY, headers=JSON).status_code == 413
    assert running.ask(asked, token, "GET", "/v2/models/m").status_code == 200


def test_no_token_is_in_its_log_or_in_its_metrics(shop: Shop, running: Authorizer) -> None:
    token = shop.token("app")
    secret = "opaque-token-that-nobody-may-read"
    for one in (token, secret, token + "x"):
        running.ask(question(shop.kube.namespace), one)
    kept = running.log.read_text() + running.client.get("/metrics").text
    assert secret not in kept
    assert token.split(".")[2] not in kept
    assert token.split(".")[1] not in kept


def test_while_nobody_can_be_asked_nobody_is_let_in(shop: Shop, tmp_path: Path) -> None:
    away = write_kubeconfig(tmp_path, free_port(), "token")
    with authorizer(away, tmp_path / "log", wait=False) as running:
        assert running.about("/livez") == 200
        assert running.about("/readyz") == 503
        answer = running.ask(question(shop.kube.namespace), shop.token("app"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "x-sluice-max-age" not in answer.headers
        assert running.ask(question(shop.kube.namespace)).status_code == 401
        until(lambda: "not ready" in running.log.read_text(), f"it says what is wrong with {HOST}")


def test_one_that_may_not_ask_says_so(shop: Shop, api_server, tmp_path: Path) -> None:
    powerless = api_server.credentials(tmp_path, shop.token("nobody", "--duration=1h"))
    with authorizer(powerless, tmp_path / "log", wait=False) as running:
        until(lambda: "may not create tokenreviews" in running.log.read_text(), "it says what it lacks")
        assert running.about("/readyz") == 503
        assert running.ask(question(shop.kube.namespace), shop.token("app")).status_code == 503


def test_it_leaves_politely(shop: Shop, tmp_path: Path) -> None:
    with authorizer(shop.kubeconfig, tmp_path / "log") as running:
        token = shop.token("app")
        assert running.ask(question(shop.kube.namespace), token).status_code == 200
        running.signal(signal.SIGTERM)
        until(lambda: running.about("/readyz") != 200, "it says that it leaves")
        # A router that still holds a connection is answered, and told to come no more on it.
        answer = running.ask(question(shop.kube.namespace), token)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert running.process.wait(60) == 0
