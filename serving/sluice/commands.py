"""What each subcommand of `sluice` does: from chosen options to the text it prints."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from sluice.building import BuildError, build, dockerfile, needed, write_context
from sluice.config import Provider
from sluice.endpoint import Endpoint, EndpointError
from sluice.failures import PackageError
from sluice.local import LocalRun, LocalRunError, become, replay, served
from sluice.making import chosen_card, chosen_parts
from sluice.manifest import explain
from sluice.package import Package, opened, write_package
from sluice.requests import read_answer, read_notes, read_request
from sluice.telling import fault, warn


def run(chosen: argparse.Namespace) -> int:
    """Run the chosen subcommand. Returns 0, or 1 with one line on stderr where input or endpoint is at fault."""
    try:
        print(_COMMANDS[chosen.command](chosen))  # noqa: T201 the command's answer
    except ValidationError as error:
        return fault(explain(error))
    except ModuleNotFoundError as error:
        return fault(f"{error.name} is not installed here; pip install 'sluice-serving[package]'")
    except (PackageError, EndpointError, LocalRunError, BuildError, OSError, ValueError) as error:
        return fault(str(error))
    return 0


def package(chosen: argparse.Namespace) -> str:
    """Make a package; the answer is its digest."""
    from sluice.graph import read_graph, unserved_outputs  # noqa: PLC0415 onnx is needed for these commands alone

    digest = write_package(
        chosen.model,
        chosen.name,
        chosen.version,
        chosen.output,
        card=chosen_card(chosen),
        doc=chosen.doc,
        parts=chosen_parts(chosen),
        preprocess=chosen.preprocess,
        check=_replayed_where_possible,
    )
    if unserved := unserved_outputs(read_graph(chosen.model)):
        warn(
            f"{', '.join(unserved)}: no tensor, so it is not served and requests are not batched; export it as a "
            "tensor (scikit-learn, XGBoost, LightGBM: options={'zipmap': False})"
        )
    return digest


def _replayed_where_possible(package: Package) -> None:
    """What a pod would refuse is no package: its contract, its features, its sample."""
    if package.manifest.only_loading_tells and not replay(package):
        warn("the package was not tried, as the runtime is not installed here; the cluster does before it serves")


def inspect(chosen: argparse.Namespace) -> str:
    """Describe a package."""
    from sluice.description import as_text, describe  # noqa: PLC0415 onnx is needed for these commands alone

    with opened(_existing(chosen.source)) as found:
        described = describe(found)
        if found.manifest.only_loading_tells:
            tried = _replayed(found, trusted=chosen.run_code)
            if found.manifest.sample is not None:
                described["sample"]["replayed"] = tried
    return json.dumps(described, indent=2) if chosen.json else as_text(described)


def _replayed(found: Package, trusted: bool) -> str:
    """How a replay of the sample went, or why there was none. Looking at a package must not run its code unasked."""
    if found.manifest.preprocessing is not None and not trusted:
        return "no: the package holds Python code, which --run-code runs"
    return "yes, with the same answers" if replay(found) else "no: the runtime is not installed here"


def build_image(chosen: argparse.Namespace) -> str:
    """Make a package's image, or what it is made from; the answer names it and its environment."""
    with opened(_existing(chosen.source)) as found:
        preprocessing = needed(found)
        if chosen.print:
            return dockerfile(preprocessing, chosen.base)
        if chosen.context:
            chosen.context.mkdir(parents=True)
            write_context(found, chosen.context, chosen.base)
            return str(chosen.context / "Dockerfile")
        build(found, chosen.image, chosen.base, chosen.builder, chosen.option)
        return f"{chosen.image} {preprocessing.environment}"


def serve(chosen: argparse.Namespace) -> str:
    """Become the runtime; there is no answer, because this process ends here."""
    become(
        LocalRun(
            source=str(chosen.source),
            host=chosen.host,
            port=chosen.port,
            grpc_port=chosen.grpc_port,
            threads=chosen.threads,
            providers=tuple(Provider(name=name) for name in chosen.provider),
            features_url=chosen.features_url,
            verbose=chosen.verbose,
        )
    )
    return ""


def predict(chosen: argparse.Namespace) -> str:
    """Ask a model; the answer is its outputs by name."""
    with _endpoint(chosen.target, chosen.model, chosen.features_url) as endpoint:
        inputs, optional = endpoint.inputs()
        response = endpoint.infer(read_request(chosen.input, inputs, optional))
    if notes := read_notes(response):
        warn(notes)
    return json.dumps(response if chosen.raw else read_answer(response))


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], str]] = {
    "package": package,
    "inspect": inspect,
    "build": build_image,
    "run": serve,
    "predict": predict,
}


@contextmanager
def _endpoint(target: str, model: str | None, features_url: str | None) -> Iterator[Endpoint]:
    if target.startswith(("http://", "https://")):
        if features_url is not None:
            raise ValueError("--features-url is for a package that is served here; what answers there has its own")
        with Endpoint(target, model) as endpoint:
            yield endpoint
        return
    with opened(_existing(Path(target))) as found:
        port, grpc_port = _free_ports()
        settings = LocalRun(source=str(found.folder), port=port, grpc_port=grpc_port, features_url=features_url)
        with served(settings) as url, Endpoint(url, found.manifest.name) as endpoint:
            yield endpoint


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; name a package's folder or archive")
    return path


def _free_ports() -> tuple[int, int]:
    """Two that differ: the first is held until the second is found."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
