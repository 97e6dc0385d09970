"""Keys that packages are signed with."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

AnyKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def write_keys(
    folder: Path, key: AnyKey | None = None, encryption: KeySerializationEncryption | None = None
) -> tuple[Path, Path]:
    """A key pair as PEM files: the private one and the public one."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(exist_ok=True)
    private, public = folder / "key.pem", folder / "pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public
