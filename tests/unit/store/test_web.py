"""The parts of HTTP to a store that need no server."""

import httpx
import pytest

from sluice.failures import PackageError, Reason
from sluice_store.http import opener
from sluice_store.transfer import TransientError
from sluice_store.web import Bearer, check_status, retry_after, shown

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 0 ", 0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
        ("Fri, 15 Jan 2020 08:00:30 GMT", 0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_what_may_be_a_password_is_not_shown() -> None:
    assert shown("https://host/a.tar.gz?X-Amz-Signature=secret#part") == "https://host/a.tar.gz"


def answered(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, request=httpx.Request("GET", "https://host/a?sig=secret"))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.SOURCE_NOT_FOUND),
        (401, Reason.SOURCE_FORBIDDEN),
        (403, Reason.SOURCE_FORBIDDEN),
        (404, Reason.SOURCE_NOT_FOUND),
        (410, Reason.SOURCE_NOT_FOUND),
        (206, Reason.SOURCE_NOT_FOUND),
        (304, Reason.SOURCE_NOT_FOUND),
    ],
)
def test_an_answer_that_means_no_is_final(status: int, reason: Reason) -> None:
    with pytest.raises(PackageError) as caught:
        check_status(answered(status))
    assert caught.value.reason is reason
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_an_answer_that_may_be_better_next_time_is_not(status: int) -> None:
    with pytest.raises(TransientError) as caught:
        check_status(answered(status, **{"Retry-After": "3"}))
    assert caught.value.retry_after == 3


def test_a_token_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    with pytest.raises(PackageError) as caught:
        Bearer("s3cret€")
    assert caught.value.reason is Reason.SOURCE_FORBIDDEN
    assert "s3cret" not in caught.value.message


class OneAnswer:
    """A client that gives one answer, and keeps what was asked."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.headers: dict[str, str] = {}

    def stream(self, method: str, url: str, *, headers: dict[str, str]) -> "OneAnswer":
        self.headers = headers
        return self

    def __enter__(self) -> httpx.Response:
        return self.response

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("validator", "headers"),
    [
        ('"v1"', {"Range": "bytes=9-", "If-Range": '"v1"'}),
        ('W/"v1"', {"Range": "bytes=9-"}),
        ("Fri, 15 Jan 2027 08:00:30 GMT", {"Range": "bytes=9-", "If-Range": "Fri, 15 Jan 2027 08:00:30 GMT"}),
        (None, {}),
    ],
)
def test_the_rest_is_asked_for_only_if_it_is_still_the_same_file(
    validator: str | None, headers: dict[str, str]
) -> None:
    web = OneAnswer(answered(206, **{"Content-Range": "bytes 9-99/100", "ETag": '"v1"'}))
    with opener(web, "https://host/a")(9, validator) as part:  # type: ignore[arg-type]
        assert (part.offset, part.total, part.validator) == (9, 100, '"v1"')
    assert web.headers == headers
