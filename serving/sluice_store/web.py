"""HTTP to one store: redirects are checked before they are followed, and credentials stay with whom they are for.

Proxies come from the environment, as for most programs (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY). Without one a
connection goes to the very address that was checked. With one it is the proxy that connects: addresses and the names
that can be resolved here are checked before it is asked, and what else it may reach is for its own rules.
"""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from sluice.config import Fetching
from sluice.failures import PackageError, Reason
from sluice_store.addresses import Guard, Resolve, proxy_for, resolve_host
from sluice_store.secret import sendable
from sluice_store.transfer import TransientError

MAX_REDIRECTS = 5
MAX_ANSWER_BYTES = 4 * 1024**2
"""Of an answer that is read whole: a manifest, a listing, a token."""

MAX_ANSWER_SECONDS = 60.0
"""For its body. Silence is bounded by itself; this is for a server that gives a byte at a time."""

PORTS = {"http": 80, "https": 443}
MAX_PORT = 65535

Content = bytes | Iterator[bytes]

_FOR_ONE_ALONE = {"authorization", "cookie", "proxy-authorization"}
_TRY_AGAIN = frozenset({408, 425, 429})


class Web:
    """The HTTP client of one store, which is at `origin`. `auth` is sent to that origin and to nobody else.

    `ca`: file with the certificate of a private CA, trusted besides the public ones. Raises PackageError:
    AddressRefused for an origin that is not on the web, SourceForbidden for a `ca` that is no certificate.
    `clock` counts seconds.
    """

    def __init__(
        self,
        origin: str,
        fetching: Fetching,
        *,
        auth: httpx.Auth | None = None,
        ca: Path | None = None,
        resolve: Resolve = resolve_host,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = _parsed(origin)
        self._auth, self._clock = auth, clock
        guard = Guard(self._origin.scheme, self._origin.host, _port(self._origin), resolve)
        # The environment is read for proxies and CAs, and not for passwords (.netrc).
        self._client = httpx.Client(
            transport=_CheckedTransport(guard, ca),
            timeout=fetching.timeout_seconds,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none are taken
            # Identity: a server that compresses on the fly would defeat the checks of lengths.
            headers={"User-Agent": "sluice", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @contextmanager
    def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: Content | None = None
    ) -> Iterator[httpx.Response]:
        """An answer whose body is still to be read, whatever its status; a GET or HEAD follows redirects.

        Raises:
            TransientError: the line broke, also while the body is read.
            PackageError: AddressRefused, or SourceUnreachable for a circle of redirects.
        """
        try:
            response = self._follow(method, _parsed(url), dict(headers or {}), content)
        except httpx.LocalProtocolError:
            # Not chained, because it quotes the header.
            message = "a request could not be sent; check the Secret named in spec.model.credentials for line breaks"
            raise PackageError(Reason.SOURCE_FORBIDDEN, message) from None
        except (httpx.TransportError, OSError) as error:
            raise _broken(error) from error
        try:
            yield response
        except httpx.TransportError as error:  # an OSError here is of whoever reads, whose disk may be full
            raise _broken(error) from error
        finally:
            response.close()

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: Content | None = None
    ) -> httpx.Response:
        """An answer with its body, bounded in bytes and in seconds; raises as `stream` does, and InvalidPackage."""
        with self.stream(method, url, headers=headers, content=content) as response:
            body, until = bytearray(), self._clock() + MAX_ANSWER_SECONDS
            for chunk in response.iter_raw():
                _check_plain(response)
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise PackageError(Reason.INVALID_PACKAGE, f"{shown(url)} answered more than is reasonable")
                if self._clock() > until:
                    raise TransientError(f"its answer took more than {MAX_ANSWER_SECONDS:.0f} s")
            return httpx.Response(
                response.status_code, headers=response.headers, content=bytes(body), request=response.request
            )

    def _follow(self, method: str, url: httpx.URL, headers: dict[str, str], content: Content | None) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(method, url, headers, content)
            if method not in ("GET", "HEAD") or not response.has_redirect_location:
                return response
            response.close()
            url = _parsed(response.headers["location"], url)
        message = f"{shown(str(url))} redirects more than {MAX_REDIRECTS} times; write down where it leads in the end"
        raise PackageError(Reason.SOURCE_UNREACHABLE, message)

    def _send(self, method: str, url: httpx.URL, headers: dict[str, str], content: Content | None) -> httpx.Response:
        ours = self.is_origin(url)
        sent = {key: value for key, value in headers.items() if ours or key.lower() not in _FOR_ONE_ALONE}
        request = self._client.build_request(method, url, headers=sent, content=content)
        return self._client.send(request, auth=self._auth if ours else None, stream=True)

    def is_origin(self, url: httpx.URL) -> bool:
        """True for what this store itself answers, and nobody it leads to; over https also where it began with http."""
        if url.host != self._origin.host:
            return False
        upgraded = (url.scheme, _port(url)) == ("https", 443) and self._origin.scheme == "http"
        return upgraded or (url.scheme, _port(url)) == (self._origin.scheme, _port(self._origin))


class Bearer(httpx.Auth):
    """A token in the header that is made for it; raises as `sendable` does."""

    def __init__(self, token: str) -> None:
        self._token = sendable(token)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def check_status(response: httpx.Response, expected: tuple[int, ...] = (200,), *, about: str | None = None) -> None:
    """Give an answer that is none of those expected its reason. `about`: what was asked for, in place of the address.

    Raises:
        TransientError: 408, 425, 429 and 5xx.
        PackageError: SourceForbidden for 401 and 403, SourceNotFound for the rest.
    """
    status, name = response.status_code, about or shown(str(response.request.url))
    if status in expected:
        return
    if status in (401, 403):
        message = f"{name} answered {status}; check the Secret named in spec.model.credentials"
        raise PackageError(Reason.SOURCE_FORBIDDEN, message)
    if status in _TRY_AGAIN or status >= 500:
        raise TransientError(f"the server answered {status}", retry_after(response.headers.get("retry-after")))
    raise PackageError(Reason.SOURCE_NOT_FOUND, f"{name} answered {status}; check spec.model.uri")


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3); None without one."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - (time.time() if now is None else now))


def shown(url: str) -> str:
    """A URL as it may stand in logs and in status: what is behind the question mark is often a password."""
    return url.partition("?")[0].partition("#")[0]


def _broken(error: Exception) -> TransientError:
    return TransientError(f"{type(error).__name__}: {error}")


def _check_plain(response: httpx.Response) -> None:
    """Nothing else was asked for, and what a few bytes unpack to knows no bound."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        message = f"{shown(str(response.request.url))} answered compressed, which nobody asked it to"
        raise PackageError(Reason.INVALID_PACKAGE, message)


class _CheckedTransport(httpx.BaseTransport):
    """Connects to addresses that were checked. Connections are shared by host name, since TLS checks that name."""

    def __init__(self, guard: Guard, ca: Path | None) -> None:
        self._guard = guard
        self._trust = httpx.create_ssl_context()
        if ca is not None:
            _trust(self._trust, ca)
        self._pools: dict[tuple[str, str], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        proxy = proxy_for(url.scheme, url.host, _port(url))
        addresses = self._guard.addresses(url.scheme, url.host, _port(url), proxied=proxy is not None)
        pool = self._pool(url.host, proxy)
        if proxy is not None:
            return pool.handle_request(request)
        problem: httpx.TransportError = httpx.ConnectError(f"{url.host} has no address")
        for address in addresses:
            try:
                return pool.handle_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = error
        raise problem

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _pool(self, host: str, proxy: str | None) -> httpx.HTTPTransport:
        key = (host, proxy or "")
        if key not in self._pools:
            self._pools[key] = httpx.HTTPTransport(verify=self._trust, proxy=proxy, trust_env=False)
        return self._pools[key]


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(ca))
    except ssl.SSLError as error:
        message = f"{ca.name} of the Secret named in spec.model.credentials is no certificate in PEM form"
        raise PackageError(Reason.SOURCE_FORBIDDEN, message) from error


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to an address; the Host header and the name that TLS checks stay those of the URL."""
    extensions: dict[str, Any] = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """An absolute URL without a user's name in it."""
    try:
        url = httpx.URL(text) if base is None else base.join(text)
        host = url.host  # decoded only now
    except (httpx.InvalidURL, ValueError) as error:
        raise PackageError(Reason.ADDRESS_REFUSED, f"the store led to {shown(text)!r}, which is no URL") from error
    if url.scheme not in PORTS or not host or (url.port or 0) > MAX_PORT:
        raise PackageError(Reason.ADDRESS_REFUSED, f"the store led to {shown(text)!r}, which is not on the web")
    return url.copy_with(userinfo=b"", fragment=None)


def _port(url: httpx.URL) -> int:
    return url.port or PORTS.get(url.scheme, 0)
