"""The commands about stores and signatures, as they join `sluice` through the entry point group `sluice.commands`.

Parsing imports nothing heavy; each command brings what it needs, and says how to install it where it is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sluice.extension import command_of

SIGN = """\
Sign a package with the private key of an elliptic curve (PEM). The signature, model.sig, becomes a part of the new
package, so its digest is another one, which is printed. An encrypted key's password is read from SLUICE_KEY_PASSWORD,
or asked for. A key: openssl ecparam -name prime256v1 -genkey -noout -out key.pem
Its public half, for clusters: openssl ec -in key.pem -pubout -out pub.pem
"""
VERIFY = """\
Check that every file of a package is what the signer signed: by a public key, or, for packages that were signed
without a key (sigstore), by who signed and who vouched for that identity.
"""
PUSH = """\
Publish a package as STORE/NAME/VERSION.tar.gz (in a registry: STORE/NAME:VERSION) and print what goes into spec.model.
A published package is never changed: one that is there already is refused, unless it is the same. Credentials come from
the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME
and AZURE_STORAGE_ACCOUNT_KEY, or what `docker login` left.
"""
LIST = """\
Show the models of a store, with their versions, owners and digests. What `sluice push` did not publish is listed with
what is known of it. Digests are those that authors stated; a pod checks its package against the one in the spec.
"""
NEEDED = "this command needs more libraries: pip install 'sluice-serving[store]'"


def add(commands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    _sign(_command(commands, "sign", "sign a package", SIGN))
    _verify(_command(commands, "verify", "check a package's signature", VERIFY))
    _push(_command(commands, "push", "publish a package in a store", PUSH))
    _list(_command(commands, "list", "show the models in a store", LIST))


def _command(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(call=command_of("sluice_store.cli", NEEDED))
    return parser


def _sign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="PACKAGE", help="a package's folder or archive")
    parser.add_argument("--key", type=Path, required=True, help="PEM file of the private key")
    parser.add_argument("--output", type=Path, required=True, help="a new folder, or a new .tar.gz file")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="PACKAGE", help="a package's folder or archive")
    parser.add_argument("--public-key", type=Path, metavar="PUB.pem", help="the signer's public key")
    parser.add_argument("--identity", help="who signed, as sigstore's certificate says: an address or a workflow's URL")
    parser.add_argument("--issuer", help="who vouched for the identity: URL of the OpenID Connect provider")
    parser.add_argument("--trust", type=Path, metavar="FILE", help="sigstore's client trust configuration as a file")


def _push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="PACKAGE", help="a package's folder or archive")
    parser.add_argument("store", metavar="STORE", help="s3://BUCKET[/FOLDER], gs://, az://, file:///, oci://REGISTRY")
    parser.add_argument("--force", action="store_true", help="replace another package of this name and version")
    _endpoint(parser)


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="as for push; models:/ for the registry of an MLflow server")
    _endpoint(parser)


def _endpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", metavar="URL", help="the store's server, where it is not its provider's")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="json: for programs")
