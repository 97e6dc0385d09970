"""`python -m sluice_runtime.resolve` finds out what a URI stands for, before any pod serves it.

The operator pins the digest in `status`, so that every later pod refuses anything else, and for a tag, a branch or an
alias the URI behind it, so that every later pod asks for the same thing.
"""

from __future__ import annotations

import logging
import sys

from sluice.config import RuntimeConfig
from sluice.failures import Resolved, write_termination
from sluice.package import Package
from sluice.uri import parse_uri
from sluice_runtime.step import run_step
from sluice_store.fetching import fetch_package
from sluice_store.references import resolve_reference

log = logging.getLogger(__name__)


def resolve(config: RuntimeConfig) -> None:
    """Bring and check the package, and leave what was found in the termination log; nothing is brought where the
    reference still stands where it stood.
    """
    asked = parse_uri(config.uri)
    found = resolve_reference(asked, config)
    uri = found.text if asked.is_movable else ""
    if uri and uri == config.known_uri:
        log.info("%s still stands for %s", asked.text, uri)
        write_termination(config.termination_log, Resolved(digest="", name="", version="", uri=uri))
        return
    leave_word(config, fetch_package(config.model_copy(update={"uri": found.text})), uri)


def leave_word(config: RuntimeConfig, package: Package, uri: str = "") -> None:
    """Leave a package's digest, name, version and what its card says in the termination log; `uri` is the one behind a
    reference.
    """
    manifest = package.manifest
    card = manifest.card.summary() if manifest.card else {}
    word = Resolved(digest=package.digest, name=manifest.name, version=manifest.version, uri=uri, card=card)
    write_termination(config.termination_log, word)


if __name__ == "__main__":
    sys.exit(run_step(resolve))
