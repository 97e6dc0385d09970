"""What registries ask for, and who one is to them."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.failures import PackageError, Reason
from sluice_store.challenges import Challenge, Login, login_for, parse_challenges
from sluice_store.secret import Secret


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull",
                    },
                )
            ],
        ),
        ('Bearer realm="https://r/t", scope="repository:a:pull,push"', [
            Challenge("bearer", {"realm": "https://r/t", "scope": "repository:a:pull,push"})
        ]),
        ('Basic realm="Registry Realm"', [Challenge("basic", {"realm": "Registry Realm"})]),
        ("BASIC Realm=plain, charset=UTF-8", [Challenge("basic", {"realm": "plain", "charset": "UTF-8"})]),
        ('Basic realm="a", Bearer realm="b",service=c', [
            Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b", "service": "c"})
        ]),
        (r'Basic realm="say \"please\""', [Challenge("basic", {"realm": 'say "please"'})]),
        ("Negotiate", [Challenge("negotiate")]),
        ("", []),
        ('realm="of nothing"', []),
        ("=,;", []),
    ],
)  # fmt: skip
def test_a_challenge_is_read_as_it_is_written(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges


@given(st.text(alphabet='Bearer =",\\;realm \x00ü0', max_size=300))
def test_no_text_breaks_it(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme


def secret_of(files: dict[str, str], folder: Path) -> Secret:
    for name, text in files.items():
        (folder / name).write_text(text)
    return Secret(folder)


def docker_config(**entries: object) -> dict[str, str]:
    return {".dockerconfigjson": json.dumps({"auths": entries})}


USER = Login("ann", "p:w")
AUTH = {"auth": base64.b64encode(b"ann:p:w").decode()}


@pytest.mark.parametrize(
    ("host", "files", "login"),
    [
        ("r.example", {}, Login()),
        ("r.example", {"username": "ann", "password": "p:w"}, USER),
        ("r.example", {"token": "t"}, Login(token="t")),
        ("r.example", docker_config(**{"r.example": AUTH}), USER),
        ("r.example", docker_config(**{"https://r.example/v2/": AUTH}), USER),
        ("R.example:5000", docker_config(**{"r.example:5000": {"username": "ann", "password": "p:w"}}), USER),
        ("docker.io", docker_config(**{"https://index.docker.io/v1/": AUTH}), USER),
        ("r.example", docker_config(**{"r.example": {"identitytoken": "i"}}), Login(identity_token="i")),
        ("r.example", docker_config(**{"r.example": {}}), Login()),
        ("r.example", docker_config(**{"other.example": AUTH, "r.example.org": AUTH}), Login()),
        ("r.example", {"config.json": "{}"}, Login()),
    ],
)
def test_who_one_is_comes_from_the_secret(host: str, files: dict[str, str], login: Login, tmp_path: Path) -> None:
    assert login_for(host, secret_of(files, tmp_path)) == login


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"auths": []}', '{"auths": {"r": {"auth": "!"}}}', '{"auths": {"r": 1}}']
)
def test_a_broken_docker_configuration_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError) as caught:
        login_for("r", secret_of({".dockerconfigjson": text}, tmp_path))
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert ".dockerconfigjson" in caught.value.message


@pytest.mark.parametrize("token", ["s3cret€", "s3cret\nof two lines", "s3cret of words", "s3cret\x7f"])
@pytest.mark.parametrize("key", ["token", "registrytoken", "identitytoken"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(key: str, token: str, tmp_path: Path) -> None:
    files = {"token": token} if key == "token" else docker_config(r={key: token})
    with pytest.raises(PackageError) as caught:
        login_for("r", secret_of(files, tmp_path))
    assert caught.value.reason is Reason.SOURCE_FORBIDDEN
    assert "s3cret" not in caught.value.message


def test_no_secret_shows_in_what_is_logged() -> None:
    shown = repr(Login("ann", "p-secret", "t-secret", "i-secret"))
    assert "ann" in shown
    assert "secret" not in shown
