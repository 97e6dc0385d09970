"""Registries that ask for tokens, and where they may send us for one: never where they could not lead us themselves."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice.uri import parse_uri
from sluice_store.challenges import Login
from sluice_store.oci_manifest import MANIFEST
from sluice_store.oci_registry import Registry, base_url

DIGEST = "sha256:" + "1" * 64
PATIENT = Fetching(attempts=2, backoff_seconds=0)


class Asking(http.server.ThreadingHTTPServer):
    """A registry and its token service in one. `seen`: paths, and what was said in `Authorization`."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_port}"
        self.challenge = f'Bearer realm="http://{self.host}/token",service="these tests"'
        self.answer_to_token = json.dumps({"token": "good", "expires_in": 60}).encode()
        self.leads_to = ""
        self.seen: list[tuple[str, str, str]] = []

    def registry(self, login: Login | None = None, clock: Callable[[], float] = time.monotonic) -> Registry:
        return Registry(parse_uri(f"oci://{self.host}/iris"), login or Login(), PATIENT, clock=clock)

    @property
    def tokens(self) -> list[tuple[str, str]]:
        return [(path, said) for _, path, said in self.seen if path.startswith("/token")]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Asking

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        if self.path.startswith("/token"):
            self.answer(200, self.server.answer_to_token)
        elif self.server.leads_to:
            self.answer(307, b"", Location=f"{self.server.leads_to}{self.path}")
        elif self.headers.get("Authorization") in ("Bearer good", "Basic YW5uOnB3"):
            self.answer(200, json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": []}).encode())
        else:
            self.answer(401, b"{}", **{"WWW-Authenticate": self.server.challenge})

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.seen.append((self.command, f"{self.path}?{form}", self.headers.get("Authorization", "")))
        self.answer(200, json.dumps({"access_token": "good"}).encode())

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextlib.contextmanager
def asking_server() -> Iterator[Asking]:
    with Asking() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    monkeypatch.setenv("NO_PROXY", "*")
    with asking_server() as server:
        yield server


def refusal_of(registry: Registry) -> PackageError:
    with registry, pytest.raises(PackageError) as caught:
        registry.digest("1")
    return caught.value


def test_a_token_is_kept_until_it_expires(asking: Asking) -> None:
    now = 0.0
    with asking.registry(clock=lambda: now) as registry:
        registry.digest("1")
        registry.digest("2")
        assert len(asking.tokens) == 1
        now = 55.0  # it is good for 60 s, and not used in its last ones
        registry.digest("3")
        assert len(asking.tokens) == 2


@pytest.mark.parametrize(
    ("login", "said"), [(Login(), ""), (Login("ann", "pw"), "Basic YW5uOnB3"), (Login(token="good"), None)]
)
def test_the_token_service_hears_who_one_is(login: Login, said: str | None, asking: Asking) -> None:
    with asking.registry(login) as registry:
        registry.digest("1")
    wanted = [] if said is None else [("/token?service=these+tests&scope=repository%3Airis%3Apull", said)]
    assert asking.tokens == wanted


def test_a_refresh_token_is_sent_as_a_form(asking: Asking) -> None:
    with asking.registry(Login(identity_token="r3fresh")) as registry:
        registry.digest("1")
    ((path, said),) = asking.tokens
    assert said == ""
    assert "grant_type=refresh_token" in path
    assert "refresh_token=r3fresh" in path


def test_a_password_is_for_those_who_ask_for_it(asking: Asking) -> None:
    asking.challenge = 'Basic realm="these tests"'
    with asking.registry(Login("ann", "pw")) as registry:
        registry.digest("1")
        registry.digest("1")
    assert [said for _, _, said in asking.seen] == ["", "Basic YW5uOnB3", "Basic YW5uOnB3"]
    asking.seen.clear()
    for login in (Login(), Login("ann", "wrong")):
        assert refusal_of(asking.registry(login)).reason is Reason.SOURCE_FORBIDDEN


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/token",
        "http://10.0.0.1/token",
        "http://[::ffff:10.0.0.1]/token",
        "file:///etc/passwd",
        "gopher://127.0.0.1/x",
        "http://[::1",
        "http://xn--zzzzzzz99999/token",
        "/token",
        "",
    ],
)
def test_a_password_is_taken_nowhere_else(realm: str, asking: Asking) -> None:
    asking.challenge = f'Bearer realm="{realm}",service="these tests"'
    error = refusal_of(asking.registry(Login("ann", "pw")))
    assert error.reason is Reason.ADDRESS_REFUSED
    assert len(asking.seen) == 1


@pytest.mark.parametrize("kind", ["Bearer", "Basic"])
def test_whom_the_registry_leads_to_asks_in_vain_for_its_password(kind: str, asking: Asking) -> None:
    with asking_server() as other:
        asking.leads_to = f"http://{other.host}"
        other.challenge = f'{kind} realm="http://{other.host}/token"'
        with asking.registry(Login("ann", "pw")) as registry:
            for path in ("manifests/1", f"http://{other.host}/v2/_catalog"):
                with pytest.raises(PackageError) as caught:
                    registry.ask("GET", path, (200,))
                assert caught.value.reason is Reason.SOURCE_FORBIDDEN
    assert [said for _, _, said in asking.seen + other.seen] == [""] * 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", Reason.SOURCE_FORBIDDEN),
        (b"{}", Reason.SOURCE_FORBIDDEN),
        (b'{"token": "wrong"}', Reason.SOURCE_FORBIDDEN),
        (b'{"token": "a\\r\\nX: 1"}', Reason.SOURCE_FORBIDDEN),
        (b'{"token": "' + bytes(5_000_000).replace(b"\0", b"a") + b'"}', Reason.INVALID_PACKAGE),
    ],
)
def test_an_answer_that_is_no_token_is_named(answer: bytes, reason: Reason, asking: Asking) -> None:
    asking.answer_to_token = answer
    assert refusal_of(asking.registry()).reason is reason


def test_a_token_that_no_header_can_carry_is_not_shown(asking: Asking) -> None:
    error = refusal_of(asking.registry(Login(token="s3cret\nof two lines")))
    assert error.reason is Reason.SOURCE_FORBIDDEN
    assert "s3cret" not in error.message


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer", "Digest realm=x", ",,,="])
def test_a_challenge_that_nobody_can_meet_is_a_refusal(challenge: str, asking: Asking) -> None:
    asking.challenge = challenge
    error = refusal_of(asking.registry(Login("ann", "pw")))
    assert error.reason in (Reason.SOURCE_FORBIDDEN, Reason.ADDRESS_REFUSED)


@pytest.mark.parametrize(
    ("uri", "endpoint", "url"),
    [
        ("oci://registry.example/a", None, "https://registry.example"),
        ("oci://registry.example:5000/a", None, "https://registry.example:5000"),
        ("oci://localhost/a", None, "http://localhost"),
        ("oci://127.0.0.1:5000/a", None, "http://127.0.0.1:5000"),
        ("oci://[::1]:5000/a", None, "http://[::1]:5000"),
        ("oci://localhost.example/a", None, "https://localhost.example"),
        ("oci://docker.io/a", None, "https://registry-1.docker.io"),
        ("oci://registry.example/a", "http://registry.models.svc:5000/", "http://registry.models.svc:5000"),
    ],
)
def test_only_loopback_and_an_endpoint_that_says_so_are_asked_without_tls(
    uri: str, endpoint: str | None, url: str
) -> None:
    assert base_url(parse_uri(uri), endpoint) == url


def test_docker_hubs_own_images_have_a_library() -> None:
    with contextlib.ExitStack() as stack:
        names = [
            stack.enter_context(Registry(parse_uri(uri), Login(), PATIENT)).repository
            for uri in ("oci://docker.io/iris", "oci://docker.io/ann/iris", "oci://ghcr.io/iris")
        ]
    assert names == ["library/iris", "ann/iris", "iris"]
