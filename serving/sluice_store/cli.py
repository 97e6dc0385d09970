"""What the commands about stores and signatures do: from chosen options to the text they print."""

from __future__ import annotations

import argparse
import getpass
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from sluice.config import Signature
from sluice.failures import PackageError
from sluice.package import opened
from sluice.telling import fault, warn
from sluice_store import signatures
from sluice_store.errors import StoreError
from sluice_store.listing import listed
from sluice_store.progress import size
from sluice_store.published import Entry
from sluice_store.push import push

PASSWORD_ENV = "SLUICE_KEY_PASSWORD"  # noqa: S105 the variable's name


def run(chosen: argparse.Namespace) -> int:
    """Run the chosen command. Returns 0, or 1 with one line on stderr where something is at fault."""
    try:
        print(_COMMANDS[chosen.command](chosen))  # noqa: T201 the command's answer
    except (PackageError, StoreError, OSError, ValueError) as error:
        return fault(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def sign(chosen: argparse.Namespace) -> str:
    """Make a signed package; the answer is its digest."""
    return signatures.sign_package(chosen.source, chosen.output, chosen.key, _password(chosen.key))


def verify(chosen: argparse.Namespace) -> str:
    """Check a signature; the answer is the digest of the package that it holds for."""
    try:
        wanted = Signature(
            public_key_file=_text(chosen.public_key),
            identity=chosen.identity,
            issuer=chosen.issuer,
            trust_file=_text(chosen.trust),
        )
    except ValidationError as error:
        raise ValueError("give --public-key alone, or --identity and --issuer (with --trust)") from error
    with opened(chosen.source) as package:
        signatures.verify(package.folder, wanted)
        return f"the signature holds for {package.digest}"


def publish(chosen: argparse.Namespace) -> str:
    """Publish a package; the answer is what goes into spec.model."""
    pushed = push(chosen.source, chosen.store, endpoint=chosen.endpoint, force=chosen.force)
    if chosen.output == "json":
        return json.dumps({"uri": pushed.uri, "digest": pushed.digest, "new": pushed.new})
    if not pushed.new:
        warn(f"{pushed.uri} was there already, and is the same")
    return f"model:\n  uri: {pushed.uri}\n  digest: {pushed.digest}"


def show(chosen: argparse.Namespace) -> str:
    """List a store."""
    found = listed(chosen.store, chosen.endpoint)
    if chosen.output == "json":
        return json.dumps([entry.to_dict() for entry in found], indent=2)
    return "\n".join(table(found)) if found else f"no packages in {chosen.store}"


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines of equal columns. What stores say is shown without what would move a terminal's cursor."""
    rows = [("MODEL", "VERSION", "OWNER", "SIZE", "WHEN", "SIGNED", "DIGEST"), *map(_row, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        _plain(entry.model),
        _plain(" ".join([entry.version, *(f"@{alias}" for alias in entry.aliases)])),
        _plain(entry.owner or "-"),
        "-" if entry.size is None else size(entry.size),
        f"{entry.modified:%Y-%m-%d %H:%M}" if entry.modified else "-",
        {True: "yes", False: "no", None: "-"}[entry.signed],
        _plain(entry.digest or "-"),
    )


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _password(key: Path) -> bytes | None:
    if b"ENCRYPTED" not in key.read_bytes():
        return None
    given = os.environ.get(PASSWORD_ENV)
    return (getpass.getpass(f"password of {key}: ") if given is None else given).encode()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], str]] = {
    "sign": sign,
    "verify": verify,
    "push": publish,
    "list": show,
}
