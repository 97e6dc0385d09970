"""The `sluice` command of whoever makes models: package an ONNX file, and see what a package holds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sluice.failures import PackageError
from sluice.package import open_package, write_package


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns the exit status: 1 with one line on stderr where the input is at fault."""
    chosen = _parser().parse_args(arguments)
    try:
        print(chosen.run(chosen))  # noqa: T201 the command's answer
    except (PackageError, FileExistsError, FileNotFoundError, ValueError) as error:
        print(f"sluice: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sluice", description="Make and inspect model packages.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    package = commands.add_parser("package", help="make a package of an ONNX file; prints its digest")
    package.add_argument("model", type=Path, help="the .onnx file, with its external data beside it")
    package.add_argument("--name", required=True)
    package.add_argument("--version", required=True)
    package.add_argument("--output", type=Path, required=True, help="a new folder, or a .tar.gz file")
    package.set_defaults(run=_package)
    inspect = commands.add_parser("inspect", help="check a package folder; prints digest and signature as JSON")
    inspect.add_argument("folder", type=Path)
    inspect.set_defaults(run=_inspect)
    return parser


def _package(chosen: argparse.Namespace) -> str:
    return write_package(chosen.model, chosen.name, chosen.version, chosen.output)


def _inspect(chosen: argparse.Namespace) -> str:
    if not chosen.folder.is_dir():
        raise FileNotFoundError(f"{chosen.folder} is no folder; unpack the archive first")
    package = open_package(chosen.folder)
    return json.dumps({"digest": package.digest, **package.manifest.model_dump(mode="json", by_alias=True)}, indent=2)
