"""Who made a package: told by its `model.sig`, checked before the package counts as fetched.

The signature is one of OpenSSF Model Signing: a sigstore bundle over the sha256 of every other file. It lies inside the
package, so that every store carries it and the package's digest covers it. What a bundle says is hostile until the key
has vouched for it, and even then it does not get to say which files it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from model_signing import hashing, signing, verifying
from sigstore.errors import TUFError

from sluice.config import Signature
from sluice.digest import package_files
from sluice.failures import PackageError, Reason
from sluice.package import new_package, open_package, opened

SIGNATURE_FILE = "model.sig"
MAX_BUNDLE_BYTES = 1024**2
"""About 3,000 files."""

MAX_BUNDLE_PARTS = 2_000
"""A sound bundle has a hundred; the list of files is one string in it. Each one that does not fit becomes an error of
its own in the library's models, with kilobytes of explanation: a megabyte of them would take gigabytes."""

_DIGESTS = re.compile(r": Expected 'Digest\(.*?\)', Actual 'Digest\(.*?\)'")
"""How the library tells two digests apart: as bytes, which say nothing to anybody."""

_TOLD = 300
"""Characters of a library's explanation: it may name every file of the package."""


def verify(folder: Path, wanted: Signature) -> None:
    """Check that a package's files are exactly those that the wanted signer signed. Files are read in pieces.

    Raises:
        PackageError: SignatureMissing or SignatureInvalid; UnsafeArchive for a link; InvalidConfig for a key that is
            none; SourceUnreachable where sigstore's trust root is needed and cannot be had.
        OSError: the disk failed.
    """
    for _ in package_files(folder):
        pass  # links and devices are refused before anything follows them
    bundle = folder / SIGNATURE_FILE
    if not bundle.is_file():
        raise PackageError(
            Reason.SIGNATURE_MISSING,
            f"the package holds no {SIGNATURE_FILE}; sign it with: sluice sign PACKAGE --key KEY.pem --output SIGNED",
        )
    _check_size(bundle)
    verifier = _verifier(wanted).set_hashing_config(_EveryOtherFile())
    try:
        verifier.verify(folder, bundle)
    except OSError:
        raise
    except InvalidSignature as error:
        raise _invalid("another key made it") from error
    except Exception as error:  # hostile text breaks its parsers in more ways than they tell
        raise _invalid(_DIGESTS.sub("", str(error)) or repr(error)) from error


def _check_size(bundle: Path) -> None:
    """Bound what a parser will make of it."""
    if bundle.stat().st_size > MAX_BUNDLE_BYTES:
        raise _invalid(f"{SIGNATURE_FILE} is larger than {MAX_BUNDLE_BYTES} bytes")
    content = bundle.read_bytes()
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > MAX_BUNDLE_PARTS:
        raise _invalid(f"{SIGNATURE_FILE} has more than {MAX_BUNDLE_PARTS} parts, which is no sigstore bundle")


def sign_package(source: Path, out: Path, key: Path, password: bytes | None = None) -> str:
    """Make a signed package of one that is there: a folder, or an archive where `out` ends in .tar.gz or .tgz.

    `key` is the PEM file of an elliptic-curve private key (P-256, P-384 or P-521). A signature that the package has
    already is replaced. Returns the digest of the signed package.

    Raises:
        PackageError: `source` is no package, or holds too many files for one signature.
        ValueError: the key cannot be used.
        FileExistsError: `out` exists.
    """
    signer = _signer(key, password).set_hashing_config(_EveryOtherFile())
    with opened(source) as package, new_package(out) as folder:
        package.copy_to(folder)
        (folder / SIGNATURE_FILE).unlink(missing_ok=True)
        signer.sign(folder, folder / SIGNATURE_FILE)
        if (folder / SIGNATURE_FILE).stat().st_size > MAX_BUNDLE_BYTES:
            raise _invalid(f"the package holds too many files for a signature of {MAX_BUNDLE_BYTES} bytes")
        return open_package(folder).digest


class _EveryOtherFile(hashing.Config):
    """The sha256 of every file but the signature: of Git's too, and of those that a signature would leave out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.use_file_serialization(max_workers=1)
        self.set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False)

    def add_ignored_paths(self, *, model_path: hashing.PathLike, paths: Iterable[hashing.PathLike]) -> None:
        """Add nothing: a file that was not signed is one that anybody may have put there."""


def _verifier(wanted: Signature) -> verifying.Config:
    if wanted.public_key_file is not None:
        return _by_key(Path(wanted.public_key_file))
    try:
        return verifying.Config().use_sigstore_verifier(
            identity=str(wanted.identity),
            oidc_issuer=str(wanted.issuer),
            trust_config=None if wanted.trust_file is None else Path(wanted.trust_file),
        )
    except TUFError as error:
        raise PackageError(
            Reason.SOURCE_UNREACHABLE,
            f"sigstore's trust root cannot be fetched ({error}); let the cluster reach it, give a trust configuration "
            "as a file, or have packages signed by a key",
        ) from error
    except Exception as error:  # a trust configuration is parsed by three libraries
        raise _unusable(f"the trust configuration {wanted.trust_file} is none", error) from error


def _by_key(path: Path) -> verifying.Config:
    try:
        return verifying.Config().use_elliptic_key_verifier(public_key=path)
    except OSError as error:
        raise _unusable(f"the public key {path} cannot be read", error) from error
    except (ValueError, AttributeError, UnsupportedAlgorithm) as error:
        raise _unusable(f"{path} is no public key of an elliptic curve (P-256, P-384, P-521) as PEM", error) from error


def _signer(key: Path, password: bytes | None) -> signing.Config:
    try:
        # Declared as text and handed on to where bytes are taken.
        return signing.Config().use_elliptic_key_signer(private_key=key, password=cast("str | None", password))
    except (ValueError, AttributeError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(
            f"{key} cannot be used ({_short(error)}); give a private key of an elliptic curve as PEM and, if it is "
            "encrypted, its password; make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
        ) from error


def _invalid(why: str) -> PackageError:
    return PackageError(
        Reason.SIGNATURE_INVALID,
        f"the package's signature does not hold: {_short(why)}; serve what the wanted signer published, or correct "
        "spec.model.signature",
    )


def _unusable(what: str, error: Exception) -> PackageError:
    return PackageError(Reason.INVALID_CONFIG, f"{what} ({_short(error)}); check what spec.model.signature names")


def _short(why: str | Exception) -> str:
    text = " ".join(str(why).split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_TOLD]
