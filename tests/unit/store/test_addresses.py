"""Where a store may lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.failures import PackageError, Reason
from sluice_store.addresses import METADATA, Guard, is_metadata, is_public, proxy_for

NAMES = {
    "store.example.com": ["93.184.216.34"],
    "cdn.example.net": ["151.101.1.6", "2a04:4e42::6"],
    "evil.example.net": ["10.0.0.1"],
    "half.example.net": ["151.101.1.6", "10.0.0.1"],
    "localhost": ["127.0.0.1", "::1"],
    "minio.models.svc": ["10.96.0.7"],
    "minio-alias.models.svc": ["10.96.0.7"],
    "vault.kube-system.svc": ["10.96.0.9"],
    "wire.example.net": ["168.63.129.16"],
    "2130706433": ["127.0.0.1"],
}


def resolve(host: str, port: int) -> list[str]:
    if (host.replace(".", "").isdigit() and host not in NAMES) or ":" in host:
        return [host]
    try:
        return NAMES[host.lower().rstrip(".")]
    except KeyError:
        raise OSError("unknown") from None


def guard(origin: str, scheme: str = "https") -> Guard:
    found = Guard(scheme, origin, 443, resolve)
    found.addresses(scheme, origin, 443)
    return found


def refused(checked: Guard, host: str, scheme: str = "https", proxied: bool = False) -> bool:
    try:
        checked.addresses(scheme, host, 443, proxied=proxied)
    except PackageError as error:
        return error.reason is Reason.ADDRESS_REFUSED and host in error.message
    return False


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("store.example.com", "cdn.example.net"),
        ("store.example.com", "STORE.example.com."),
        ("minio.models.svc", "cdn.example.net"),
        ("minio.models.svc", "minio.models.svc"),
        ("minio.models.svc", "minio-alias.models.svc"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "2130706433"),
    ],
)
def test_what_is_as_public_or_the_same_machine_is_followed(origin: str, host: str) -> None:
    assert not refused(guard(origin), host)


@pytest.mark.parametrize("origin", ["store.example.com", "minio.models.svc"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example.net",
        "half.example.net",
        "localhost",
        "vault.kube-system.svc",
        "wire.example.net",
        "2130706433",
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "192.0.0.8",
        "192.0.0.192",
        "64:ff9b:1::a9fe:a9fe",
        "::ffff:192.0.0.192",
    ],
)
def test_a_more_private_place_is_refused(origin: str, host: str) -> None:
    assert refused(guard(origin), host)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::ffff:100.100.100.200",
        "64:ff9b::a83f:8110",
        "fe80::1",
        *sorted(map(str, METADATA)),
    ],
)
def test_a_clouds_metadata_is_no_store_even_where_it_begins(host: str) -> None:
    assert refused(Guard("http", host, 80, resolve), host, "http")


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "gopher", ""])
def test_https_is_never_left(scheme: str) -> None:
    assert refused(guard("store.example.com"), "cdn.example.net", scheme)


def test_http_may_become_https() -> None:
    assert not refused(guard("store.example.com", "http"), "cdn.example.net", "https")


def test_a_name_that_was_public_and_is_private_now_is_refused() -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    checked = Guard("https", "rebinding.example.com", 443, lambda host, port: next(answers))
    assert checked.addresses("https", "rebinding.example.com", 443) == ("93.184.216.34",)
    assert refused(checked, "rebinding.example.com")


def test_a_store_in_the_cluster_may_move_to_another_address() -> None:
    answers = iter([["10.0.0.1"], ["10.0.0.2"]])
    checked = Guard("https", "minio.models.svc", 443, lambda host, port: next(answers))
    checked.addresses("https", "minio.models.svc", 443)
    assert checked.addresses("https", "minio.models.svc", 443) == ("10.0.0.2",)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("only-the-proxy.example.com", False),
        ("cdn.example.net", False),
        ("evil.example.net", True),
        ("10.0.0.1", True),
        ("unknown-alone", True),
        ("printer.local", True),
        ("metadata.google.internal", True),
        ("api.other.svc", True),
    ],
)
def test_through_a_proxy_only_what_looks_public_goes_unresolved(host: str, expected: bool) -> None:
    assert refused_or_unknown(guard("store.example.com"), host) is expected


def refused_or_unknown(checked: Guard, host: str) -> bool:
    try:
        return refused(checked, host, proxied=True)
    except OSError:
        return True


@given(st.ip_addresses())
def test_no_private_address_counts_as_public(address: object) -> None:
    text = str(address)
    if is_public(text):
        assert address.is_global  # type: ignore[attr-defined]
        assert not is_metadata(text)


@pytest.mark.parametrize(
    ("host", "excluded", "proxied"),
    [
        ("8.8.8.8", "", True),
        ("8.8.8.8", "10.0.0.0/8,.svc", True),
        ("10.1.2.3", "localhost, 10.0.0.0/8", False),
        ("fd00::1", "fd00::/8", False),
        ("minio.models.svc", "10.0.0.0/8,.svc", False),
        ("minio.example", "10.0.0.0/8", True),
        ("10.1.2.3", "no/network", True),
        ("10.1.2.3", "no/network,10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3:9000", False),
    ],
)
def test_who_is_asked_for_without_the_proxy(
    host: str, excluded: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", excluded)
    assert proxy_for("http", host, 9000) == ("http://proxy.example:3128" if proxied else None)
