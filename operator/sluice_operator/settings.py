"""The operator's own settings: flags, each with an environment variable as its default: a chart can set either."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags and environment; exits with a usage message where they are wrong."""
    values = _parser(environment).parse_args(arguments)
    return Settings(
        runtime_image=values.runtime_image,
        router_image=values.router_image,
        runtime_gpu_image=values.runtime_gpu_image,
        tools_image=values.tools_image,
        namespaces=_names(values.namespaces),
        metrics_port=values.metrics_port,
        workers=values.workers,
        lease=values.lease,
        dashboard=values.dashboard,
        log_level=values.log_level,
        log_format=values.log_format,
        kubeconfig=values.kubeconfig or None,
        prometheus_url=values.prometheus_url,
        tracing_endpoint=values.tracing_endpoint,
        tracing_sampling_percent=values.tracing_sampling_percent,
        authorizer=values.authorizer,
        pull_secrets=_names(values.pull_secrets),
        require_digest=values.require_digest,
        require_signature=values.require_signature,
        public_key=values.public_key,
        allowed_stores=_names(values.allowed_stores),
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    def default(name: str, fallback: str | None = None) -> str | None:
        return environment.get(ENV_PREFIX + name, fallback)

    parser = argparse.ArgumentParser("sluice-operator", description="The Sluice operator.")
    for flag, meaning in (
        ("runtime-image", "image of model pods of new revisions"),
        ("router-image", "image of routers"),
    ):
        value = default(flag.upper().replace("-", "_"))
        parser.add_argument(f"--{flag}", default=value, required=not value, help=meaning)
    parser.add_argument(
        "--runtime-gpu-image",
        default=default("RUNTIME_GPU_IMAGE", ""),
        help="image of model pods with accelerator nvidia; none: such a spec must name its own",
    )
    parser.add_argument(
        "--tools-image",
        default=default("TOOLS_IMAGE", ""),
        help="image of jobs that fill feature stores; none: a spec that asks for it is told so",
    )
    parser.add_argument("--namespaces", default=default("NAMESPACES", ""), help="comma-separated; none: all")
    parser.add_argument("--metrics-port", type=int, default=default("METRICS_PORT", "8080"))
    parser.add_argument("--workers", type=int, default=default("WORKERS", "8"), help="reconciles at once")
    parser.add_argument(
        "--lease",
        type=_lease,
        default=default("LEASE", ""),
        help="NAMESPACE/NAME of the Lease whose holder acts; none: no other operator runs, this one always acts",
    )
    parser.add_argument(
        "--dashboard",
        type=_address,
        default=default("DASHBOARD", ""),
        help="HOST:PORT on which the read-only page is served, without a login; none: it is not served",
    )
    parser.add_argument(
        "--log-level", default=default("LOG_LEVEL", "info"), choices=["debug", "info", "warning", "error"]
    )
    parser.add_argument("--log-format", default=default("LOG_FORMAT", "json"), choices=["json", "text"])
    parser.add_argument(
        "--prometheus-url",
        default=default("PROMETHEUS_URL", ""),
        help="the Prometheus of analysis checks whose spec names none; none: such a check is an error",
    )
    parser.add_argument(
        "--tracing-endpoint",
        type=_address,
        default=default("TRACING_ENDPOINT", ""),
        help="HOST:PORT of an OpenTelemetry collector (OTLP over HTTP) for the routers' spans; none: they make none",
    )
    parser.add_argument(
        "--tracing-sampling-percent",
        type=_percent,
        default=default("TRACING_SAMPLING_PERCENT", "1"),
        help="how many of the requests are traced whose callers send no traceparent",
    )
    parser.add_argument(
        "--authorizer",
        type=_address,
        default=default("AUTHORIZER", ""),
        help="HOST:PORT that routers ask whether a caller may; none: a model that needs it lets nobody in",
    )
    parser.add_argument(
        "--pull-secrets",
        default=default("PULL_SECRETS", ""),
        help="comma-separated names of Secrets of each model's namespace with which its images are pulled",
    )
    for flag, meaning in (
        ("require-digest", "whether a new version's spec must name its package's digest"),
        ("require-signature", "whether a new version's package must be signed"),
    ):
        value = default(flag.upper().replace("-", "_"), "false")
        parser.add_argument(f"--{flag}", type=_truth, default=value, metavar="true|false", help=meaning)
    parser.add_argument(
        "--public-key",
        default=default("PUBLIC_KEY", ""),
        help="name of the Secret, in each model's namespace, with the only key that signatures are checked with",
    )
    parser.add_argument(
        "--allowed-stores",
        default=default("ALLOWED_STORES", ""),
        help="comma-separated beginnings of the URIs that new versions may come from; none: all",
    )
    parser.add_argument("--kubeconfig", default=environment.get("KUBECONFIG"), help="none: the service account")
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
