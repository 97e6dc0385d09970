"""A sigstore of our own, in memory: a certificate authority, a log of certificates, a log of signatures.

It issues what the public instance issues to someone who signs without a key, in the same formats (RFC 6962 for the log
of certificates; Rekor's entries, inclusion proofs and checkpoints), so that verification runs as it is, with nothing
replaced but the root of trust.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import hashing, signing

from sluice_store.signatures import SIGNATURE_FILE

NOW = datetime.datetime(2026, 1, 15, 12, 0, tzinfo=datetime.UTC)
ISSUED = NOW - datetime.timedelta(minutes=1)
YEAR = datetime.timedelta(days=365)
LOG = "rekor.tests"
ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")

Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_by(key: Key, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@dataclass
class Sigstore:
    """The instance: `trust` is what verifiers are told of it."""

    ca_key: Key = field(default_factory=new_key)
    ct_key: Key = field(default_factory=new_key)
    log_key: Key = field(default_factory=new_key)
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
    )

    def sign(self, folder: Path, identity: str, issuer: str) -> dict[str, Any]:
        """Sign a package as this identity. Returns the bundle, which is in the package, too."""
        key = new_key()
        certificate = self.certificate(key, identity, issuer)
        envelope = _envelope(folder, key)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.logged(envelope, certificate)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": envelope,
        }
        (folder / SIGNATURE_FILE).write_text(json.dumps(bundle))
        return bundle

    def certificate(self, key: Key, identity: str, issuer: str) -> x509.Certificate:
        """A certificate for ten minutes, with the promise of the log of certificates inside."""
        plain = self._certificate(key, identity, issuer)
        unsigned = plain.sign(self.ca_key, hashes.SHA256())
        promise = self._promise(unsigned.tbs_certificate_bytes)
        return plain.add_extension(x509.UnrecognizedExtension(SCT_OID, promise), critical=False).sign(
            self.ca_key, hashes.SHA256()
        )

    def _certificate(self, key: Key, identity: str, issuer: str) -> x509.CertificateBuilder:
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        return (
            x509.CertificateBuilder(subject_name=x509.Name([]), issuer_name=self.name, public_key=key.public_key())
            .serial_number(7)
            .not_valid_before(ISSUED)
            .not_valid_after(ISSUED + datetime.timedelta(minutes=10))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca_key.public_key()), critical=False)
            .add_extension(x509.UnrecognizedExtension(ISSUER_OID, issuer.encode()), critical=False)
        )

    def _promise(self, tbs: bytes) -> bytes:
        """A signed certificate timestamp (RFC 6962, 3.2 and 3.3), as an extension holds it."""
        when = int(NOW.timestamp() * 1000)
        entry = hashlib.sha256(spki(self.ca_key)).digest() + len(tbs).to_bytes(3, "big") + tbs
        said = struct.pack("!BBQH", 0, 0, when, 1) + entry + struct.pack("!H", 0)
        signature = signed_by(self.ct_key, said)
        sct = struct.pack("!B32sQH", 0, hashlib.sha256(spki(self.ct_key)).digest(), when, 0)
        sct += struct.pack("!BBH", 4, 3, len(signature)) + signature
        return _octets(struct.pack("!HH", len(sct) + 2, len(sct)) + sct)

    def logged(self, envelope: dict[str, Any], certificate: x509.Certificate) -> dict[str, Any]:
        """The entry of a signature in a log that holds nothing else."""
        body = _entry(envelope, certificate)
        log_id, root = hashlib.sha256(spki(self.log_key)).digest(), hashlib.sha256(b"\0" + body).digest()
        note = f"{LOG} - 1\n1\n{b64(root)}\n"
        witness = b64(log_id[:4] + signed_by(self.log_key, note.encode()))
        checkpoint = f"{note}\n\u2014 {LOG} {witness}\n"
        promised = {"body": b64(body), "integratedTime": int(NOW.timestamp()), "logID": log_id.hex(), "logIndex": 0}
        promise = json.dumps(promised, sort_keys=True, separators=(",", ":")).encode()
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(promised["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": b64(signed_by(self.log_key, promise))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": b64(body),
        }

    def trust(self, path: Path) -> Path:
        """Write the client trust configuration down."""
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        authority = (
            x509.CertificateBuilder(self.name, self.name, self.ca_key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - YEAR)
            .not_valid_after(NOW + 10 * YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.ca_key.public_key()), critical=False)
            .sign(self.ca_key, hashes.SHA256())
        )
        chain = {"certificates": [{"rawBytes": b64(authority.public_bytes(Encoding.DER))}]}
        since = {"start": (NOW - YEAR).isoformat()}
        subject = {"organization": "tests", "commonName": "authority of the tests"}
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log("https://rekor.tests", self.log_key, since)],
            "certificateAuthorities": [{"subject": subject, "certChain": chain, "validFor": since}],
            "ctlogs": [_log("https://ct.tests", self.ct_key, since)],
        }
        config = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": root,
            "signingConfig": {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"},
        }
        path.write_text(json.dumps(config))
        return path


def _envelope(folder: Path, key: Key) -> dict[str, Any]:
    """What the library signs, whoever vouches for the key."""
    pem, bundle = folder.with_name("leaf.pem"), folder.with_name("leaf.sig")
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    everything = hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)
    signing.Config().use_elliptic_key_signer(private_key=pem).set_hashing_config(everything).sign(folder, bundle)
    envelope: dict[str, Any] = json.loads(bundle.read_text())["dsseEnvelope"]
    return envelope


def _entry(envelope: dict[str, Any], certificate: x509.Certificate) -> bytes:
    payload = base64.b64decode(envelope["payload"])
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(json.dumps(envelope).encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [
            {"signature": envelope["signatures"][0]["sig"], "verifier": b64(certificate.public_bytes(Encoding.PEM))}
        ],
    }
    entry = {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def _log(url: str, key: Key, since: dict[str, str]) -> dict[str, Any]:
    public = {"rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": public,
        "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())},
    }


def _octets(content: bytes) -> bytes:
    return b"\x04" + _length(content)


def _length(content: bytes) -> bytes:
    """A DER length and what it is the length of."""
    size = len(content)
    if size < 0x80:
        return bytes([size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits + content
