"""The `sluice` command of whoever makes models: package an ONNX file, look into a package, serve it here, ask it.

What else is installed adds its own commands (those about a cluster come with the operator), so that this stays light.
Parsing imports nothing heavy, so that help is there at once; each command brings what it needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from sluice import __version__

EXTENSIONS = "sluice.commands"
"""Entry point group: functions that are given the subcommands and add to them; `call` of a parsed one runs it."""

EPILOG = """\
from a trained model to an answer:
  sluice package model.onnx --name iris --version 1 --output iris-1.tar.gz
  sluice inspect iris-1.tar.gz
  sluice run iris-1.tar.gz
  sluice predict http://localhost:8080/v2/models/iris --input '[[5.1, 3.5, 1.4, 0.2]]'

exit status: 0 done, 1 the input or the endpoint is at fault (one line on stderr says how), 2 a wrong command line;
of train and features also 3: what fails again until class, data, definitions or options change
"""
PACKAGE = """\
Make a package of an ONNX file: the model, its external data if it has any, and model.yaml with its signature. Prints
the package's digest; equal inputs give equal digests on every machine, for folder and archive alike. Put the digest
into spec.model.digest, and nothing else is ever served under that name.
"""
INSPECT = """\
Check a package (folder or .tar.gz) and show its digest, size, opsets, inputs, outputs and card. Where the runtime is
installed its sample is replayed, and a package that does not answer as it did in training is refused.
"""
BUILD = """\
Make the image that serves a package with Python code: the runtime's, with the libraries of the package's lock. It is
made only if the package answers in it as it did in training. Push it, and name it in spec.runtime.image. Uses buildah,
podman or docker, whichever is there.
"""
RUN = """\
Serve a package with the production runtime, as a pod would: the same process, protocol, batching and limits. Prints the
URL and an example call when the model is ready. Ctrl-C stops it.
"""
PREDICT = """\
Ask a model: a running endpoint by its URL, or a package, which is served for the length of one request.
"""
INPUT = """\
JSON text, a .json or a .csv file. JSON: values of the only input ([[1, 2], [3, 4]]), one entry for every input
({"age": [31], "city": ["Utrecht"]}), a list of such rows, or a whole request of the protocol ({"inputs": [...]}).
CSV: a header that names the inputs, or rows of the only input. What the model's feature store, its clock or its
contract fill in may be left out
"""
FEATURES = "the feature store of a package that is served here: where `feast serve` answers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns the exit status: 1 with one line on stderr where the input is at fault."""
    try:
        chosen = _parser().parse_args(arguments)
        if hasattr(chosen, "call"):
            return int(chosen.call(chosen))
        from sluice import commands  # noqa: PLC0415

        return commands.run(chosen)
    except KeyboardInterrupt:  # while a command's libraries are imported, too
        return 130


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "sluice",
        description="Make, inspect, serve and ask model packages; look after them in a cluster.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"sluice {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _package(commands.add_parser("package", help="make a package of an ONNX file", description=PACKAGE))
    _inspect(commands.add_parser("inspect", help="check and show a package", description=INSPECT))
    _build(commands.add_parser("build", help="make the image of a package with Python code", description=BUILD))
    _run(commands.add_parser("run", help="serve a package on this machine", description=RUN))
    _predict(commands.add_parser("predict", help="ask a model", description=PREDICT))
    for extension in sorted(entry_points(group=EXTENSIONS)):
        extension.load()(commands)
    return parser


def _package(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="the model, with its external data beside it")
    parser.add_argument("--name", required=True, help="name of the model, as callers will say it")
    parser.add_argument("--version", required=True, help="its version; a new one for every change")
    parser.add_argument("--output", type=Path, required=True, help="a new folder, or a new .tar.gz file")
    parser.add_argument("--description", help="what it predicts, from what, and where not to use it")
    parser.add_argument("--owner", help="who answers for it")
    parser.add_argument("--license", help="SPDX identifier of its licence")
    parser.add_argument("--doc", type=Path, metavar="FILE.md", help="a page about it; becomes the package's README.md")
    parser.add_argument(
        "--card", type=Path, metavar="FILE.yaml", help="the model card: intended use, metrics and so on"
    )
    _raw_values(parser.add_argument_group("from raw values to the model (docs/packages.md)"))


def _raw_values(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--preprocess", type=Path, metavar="FILE.onnx", help="a graph to put in front of the model's")
    group.add_argument("--code", type=Path, metavar="FOLDER", help="Python around the graph, with its fitted state")
    group.add_argument("--entrypoint", metavar="MODULE:CLASS", help="its subclass of sluice.Model")
    group.add_argument("--lock", type=Path, metavar="FILE", help="its libraries, pinned with hashes (pip compile)")
    group.add_argument("--sample", type=Path, metavar="FILE.json", help="inputs and the outputs they gave in training; "
                       "whoever serves the package replays them first")  # fmt: skip
    group.add_argument("--tolerance", type=float, metavar="SHARE", help="how far outputs may differ (default: 1e-5)")
    group.add_argument(
        "--contract", type=Path, metavar="FILE.yaml", help="variables: ranges, categories, missing values"
    )
    group.add_argument(
        "--features", type=Path, metavar="FILE.yaml", help="a feature service, its keys, and where each goes"
    )
    group.add_argument(
        "--clock", metavar="INPUT", help="an input that is the time of the request, in seconds since 1970"
    )
    group.add_argument("--clock-from-request", action="store_true", help="callers may say another time")
    group.add_argument("--statistics", type=Path, metavar="FILE.json", help="what training saw of every variable")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="PACKAGE", help="a package's folder or archive")
    parser.add_argument("--json", action="store_true", help="for programs: everything, as JSON")
    parser.add_argument(
        "--run-code", action="store_true", help="replay its sample even where that runs its Python code"
    )


def _build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="PACKAGE", help="a package's folder or archive")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--image", metavar="NAME", help="name of the image in the builder's store")
    form.add_argument("--context", type=Path, metavar="FOLDER", help="build nothing; write what any builder takes")
    form.add_argument("--print", action="store_true", help="build nothing; show the Dockerfile")
    image = f"sluice/runtime:{__version__}"  # the chart's own
    parser.add_argument("--base", default=image, metavar="IMAGE", help="the runtime's image (default: %(default)s)")
    parser.add_argument(
        "--builder", choices=("buildah", "podman", "docker"), help="the program that builds (default: the first found)"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="WORD", help="a word for the builder, such as --network=host; "
        "may be repeated: --option=--network=host"
    )  # fmt: skip


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="PACKAGE", help="a folder, an archive, or a URI as in spec.model.uri")
    parser.add_argument("--port", type=int, default=8080, help="HTTP port (default: %(default)s)")
    parser.add_argument("--grpc-port", type=int, default=8081, help="gRPC port (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of one run (default: the CPUs of this machine)")
    parser.add_argument(
        "--provider", action="append", default=[], help="an execution provider that must load, such as "
        "CUDAExecutionProvider; may be repeated, the preferred one first (default: the CPU)"
    )  # fmt: skip
    parser.add_argument("--features-url", metavar="URL", help=FEATURES)
    parser.add_argument("--verbose", action="store_true", help="show the runtime's log")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="URL|PACKAGE", help="http://host:port, .../v2/models/NAME, or a package")
    parser.add_argument("--input", required=True, metavar="DATA", help=INPUT)
    parser.add_argument("--model", help="name of the model, where the URL leaves it open")
    parser.add_argument("--features-url", metavar="URL", help=FEATURES)
    parser.add_argument("--raw", action="store_true", help="print the protocol's whole answer")
