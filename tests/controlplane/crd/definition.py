"""Asks a real API server what it makes of the CustomResourceDefinition and of manifests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sluice_operator.api import crd
from support.kube import Kube, KubectlError, condition


@dataclass(frozen=True)
class Answer:
    """What the API server said to a manifest."""

    accepted: bool
    text: str


def install(kube: Kube) -> None:
    """Install or refresh the definition and wait until it is served."""
    # As Helm, so that a later installation of the chart finds no conflict over fields that nobody else wants.
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-")
    kube.run(*words, stdin=crd.render())
    # `kubectl wait` gives up where there are no conditions yet.
    kube.until("crd", crd.CRD_NAME, lambda found: condition(found, "Established").get("status") == "True")


def apply(kube: Kube, manifest: Mapping[str, Any]) -> None:
    """A server-side apply."""
    kube.run("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


def try_apply(kube: Kube, manifest: Mapping[str, Any] | str) -> Answer:
    """Ask for a server-side apply under strict validation, without keeping anything."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    try:
        return Answer(True, kube.run(*words, stdin=text))
    except KubectlError as refusal:
        return Answer(False, str(refusal))


@cache
def said_to(kube: Kube, text: str) -> Answer:
    """What is said to a manifest of something that is not there: always the same, so it is asked for once."""
    return try_apply(kube, text)
