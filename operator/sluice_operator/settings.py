"""The operator's own settings: flags, each with an environment variable as its default: a chart can set either."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ENV_PREFIX = "SLUICE_"


@dataclass(frozen=True)
class Settings:
    """How this operator runs. `namespaces` empty: all. `kubeconfig` None: the pod's service account. `lease`: namespace
    and name of the Lease whose holder acts; None: this operator is the only one. `dashboard`: host and port of the
    read-only page; None: there is none. `tracing_endpoint`: host and port of the collector of the routers' spans;
    None: there are none. `authorizer`: host and port that routers ask whether a caller may; None: there is none.
    `pull_secrets`: names of Secrets, in each model's namespace, with which images are pulled.

    What new versions must be: `require_digest`, `require_signature`, `public_key` (a Secret in each model's namespace;
    empty: the spec says who must have signed), `allowed_stores` (beginnings of URIs; none: all).
    """

    runtime_image: str
    router_image: str
    runtime_gpu_image: str
    tools_image: str
    namespaces: tuple[str, ...]
    metrics_port: int
    workers: int
    lease: tuple[str, str] | None
    dashboard: tuple[str, int] | None
    log_level: str
    log_format: Literal["json", "text"]
    kubeconfig: str | None
    prometheus_url: str
    tracing_endpoint: tuple[str, int] | None
    tracing_sampling_percent: float
    authorizer: tuple[str, int] | None
    pull_secrets: tuple[str, ...]
    require_digest: bool
    require_signature: bool
    public_key: str
    allowed_stores: tuple[str, ...]


@dataclass(frozen=True)
class Option:
    """A flag. `fallback` where neither it nor its environment variable is given; None: one of both must be."""

    flag: str
    fallback: str | None
    meaning: str | None = None
    kind: Callable[[str], Any] = str
    choices: Sequence[str] | None = None
    metavar: str | None = None


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags and environment; exits with a usage message where they are wrong."""
    return Settings(**vars(_parser(environment).parse_args(arguments)))


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sluice-operator", description="The Sluice operator.")
    for option in OPTIONS:
        default = environment.get(ENV_PREFIX + option.flag.upper().replace("-", "_"), option.fallback)
        parser.add_argument(
            f"--{option.flag}",
            default=default,
            required=not default and option.fallback is None,
            type=option.kind,
            choices=option.choices,
            metavar=option.metavar,
            help=option.meaning,
        )
    default = environment.get("KUBECONFIG") or None
    parser.add_argument("--kubeconfig", default=default, type=_path, help="none: the service account")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))


def _truth(text: str) -> bool:
    """Raises ValueError, which argparse tells."""
    if text not in ("true", "false"):
        raise ValueError(f"{text} is neither true nor false")
    return text == "true"


def _lease(text: str) -> tuple[str, str] | None:
    """Raises ValueError, which argparse tells."""
    if not text:
        return None
    namespace, name = text.split("/")
    return namespace, name


def _address(text: str) -> tuple[str, int] | None:
    """Raises ValueError, which argparse tells."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    return host, int(port)


def _percent(text: str) -> float:
    """Raises ValueError, which argparse tells."""
    percent = float(text)
    if not 0 <= percent <= 100:
        raise ValueError(f"{text} is not between 0 and 100")
    return percent


def _path(text: str) -> str | None:
    return text or None


OPTIONS = (
    Option("runtime-image", None, "image of model pods of new revisions"),
    Option("router-image", None, "image of routers"),
    Option("runtime-gpu-image", "", "image of model pods with accelerator nvidia; none: such a spec must name its own"),
    Option("tools-image", "", "image of jobs that fill feature stores; none: a spec that asks for it is told so"),
    Option("namespaces", "", "comma-separated; none: all", _names),
    Option("metrics-port", "8080", kind=int),
    Option("workers", "8", "reconciles at once", int),
    Option(
        "lease",
        "",
        "NAMESPACE/NAME of the Lease whose holder acts; none: no other operator runs, this one always acts",
        _lease,
    ),
    Option(
        "dashboard",
        "",
        "HOST:PORT on which the read-only page is served, without a login; none: it is not served",
        _address,
    ),
    Option("log-level", "info", choices=("debug", "info", "warning", "error")),
    Option("log-format", "json", choices=("json", "text")),
    Option(
        "prometheus-url", "", "the Prometheus of analysis checks whose spec names none; none: such a check is an error"
    ),
    Option(
        "tracing-endpoint",
        "",
        "HOST:PORT of an OpenTelemetry collector (OTLP over HTTP) for the routers' spans; none: they make none",
        _address,
    ),
    Option(
        "tracing-sampling-percent",
        "1",
        "how many of the requests are traced whose callers send no traceparent",
        _percent,
    ),
    Option(
        "authorizer",
        "",
        "HOST:PORT that routers ask whether a caller may; none: a model that needs it lets nobody in",
        _address,
    ),
    Option(
        "pull-secrets",
        "",
        "comma-separated names of Secrets of each model's namespace with which its images are pulled",
        _names,
    ),
    Option(
        "require-digest",
        "false",
        "whether a new version's spec must name its package's digest",
        _truth,
        metavar="true|false",
    ),
    Option(
        "require-signature",
        "false",
        "whether a new version's package must be signed",
        _truth,
        metavar="true|false",
    ),
    Option(
        "public-key",
        "",
        "name of the Secret, in each model's namespace, with the only key that signatures are checked with",
    ),
    Option(
        "allowed-stores",
        "",
        "comma-separated beginnings of the URIs that new versions may come from; none: all",
        _names,
    ),
)
"""All but `--kubeconfig`, whose environment variable is everybody's."""
