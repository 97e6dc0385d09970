"""What `sluice train` does: from chosen options to the text it prints."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from sluice.contract import FeatureReferences
from sluice.failures import FOR_GOOD, PackageError
from sluice.local import replay
from sluice.manifest import explain
from sluice.model import Model
from sluice.package import Package, check_new, opened
from sluice.telling import fault, warn
from sluice_training import options
from sluice_training.data import check_named, read
from sluice_training.declared import check_declared, check_searched
from sluice_training.errors import AwayError, TrainingError
from sluice_training.job import OUTPUT, applying, is_claimed, manifests
from sluice_training.plan import Plan
from sluice_training.record import code_of
from sluice_training.registering import check_address, register
from sluice_training.trained import NOT_REPLAYED, Trained
from sluice_training.trainer import train

CHILD = "SLUICE_TRAINING"
"""Set for the interpreter that trains."""

SETTLED = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    CHILD: "1",
}
"""What decides how an interpreter starts: the order of sets, what times mean, how sums are split among threads."""


def run(chosen: argparse.Namespace) -> int:
    """Train. Returns 0, or the status of what is at fault with one line on stderr that says it."""
    try:
        options.check(chosen)
        if chosen.as_job:
            printed = _job(chosen)
            print(printed)  # noqa: T201
            warn(applying(printed))
            return 0
        if not os.environ.get(CHILD):
            return _settled()
        with _ended_in_order():
            for line in _trained(chosen):
                print(line, flush=True)  # noqa: T201 the command's answer
    except ValidationError as error:
        return fault(explain(error), FOR_GOOD)
    except AwayError as error:
        return fault(str(error))
    except PackageError as error:
        return fault(str(error), error.reason.status)
    except (TrainingError, FileNotFoundError, PermissionError, ValueError) as error:
        return fault(str(error), FOR_GOOD)
    except OSError as error:
        return fault(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _settled() -> int:
    """The same command in an interpreter that starts the same way everywhere, and is stopped as this one is."""
    with subprocess.Popen([sys.executable, "-m", "sluice", *sys.argv[1:]], env=os.environ | SETTLED) as child:
        # A terminal tells the child of Ctrl-C as well. It is waited for until it has taken away what it began.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
        status = child.wait()
        return status if status >= 0 else 128 - status


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM takes away what was begun, as Ctrl-C does: a script's background job ignores SIGINT, by inheritance."""

    def end(*_: object) -> None:
        # Who tells a group of processes tells this one twice.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _job(chosen: argparse.Namespace) -> str:
    _check_places(chosen)
    plan = _plan(chosen)
    check_named(chosen.data)
    if chosen.image_folder:
        return manifests(chosen, chosen.model.partition(":")[0], {})
    kind = _class(chosen.model, chosen.model_version)
    check_searched(kind, plan.candidates)
    options.check_lock(kind, chosen.lock, here=not is_claimed(chosen.lock))
    return manifests(chosen, kind.name, code_of(kind).files)


def _trained(chosen: argparse.Namespace) -> Iterator[str]:
    kind = _class(chosen.model, chosen.model_version)
    output = chosen.output or Path(f"{kind.name}-{kind.version}.tar.gz")
    try:
        check_new(output)
    except (OSError, ValueError) as error:
        raise TrainingError(str(error)) from error
    options.check_files(chosen)
    options.check_lock(kind, chosen.lock)
    _check_places(chosen)
    plan = _plan(chosen)
    table, references = _rows(chosen, kind)
    trained = train(kind, table, replace(plan, references=references))
    if trained.searched:
        yield from trained.searched.lines()
    yield from _evaluated(trained)
    digest = trained.write(output, _replayed)
    yield f"{output}  {digest}"
    if chosen.push or chosen.register:
        yield from _published(chosen, output)


def _evaluated(trained: Trained) -> Iterator[str]:
    yield str(trained.card.data)
    width = max(map(len, trained.metrics), default=0)
    yield from (f"  {name:<{width}}  {value:.6g}" for name, value in trained.metrics.items())
    if trained.card.importance:
        told = ", ".join(f"{item.variable} {item.share:.0%}" for item in trained.card.importance[:5])
        yield f"it goes by {told}"


def _plan(chosen: argparse.Namespace) -> Plan:
    return Plan(
        seed=chosen.seed,
        test_share=chosen.test_share,
        timestamp=chosen.timestamp,
        keys=tuple(chosen.key),
        candidates=chosen.search,
        previous=chosen.previous,
        lock=chosen.lock,
    )


def _rows(chosen: argparse.Namespace, kind: type[Model]) -> tuple[pa.Table, FeatureReferences | None]:
    table = read(chosen.data)
    if chosen.features is None:
        return table, None
    try:
        from sluice_training.joining import joined  # noqa: PLC0415 brings DuckDB, which only features need
    except ModuleNotFoundError as error:
        raise TrainingError(f"--features needs {error.name}; pip install 'sluice-serving[features]'") from error
    return joined(kind, table, chosen.features, chosen.service, chosen.timestamp)


def _published(chosen: argparse.Namespace, output: Path) -> Iterator[str]:
    """Publish and register; the lines are what goes into spec.model."""
    with opened(output) as package:
        uri, endpoint, note = None, chosen.endpoint, ""
        if chosen.push:
            uri = _pushed(package, output, chosen.push, chosen.endpoint)
        if chosen.register:
            found = register(package, chosen.register, name=chosen.name, alias=chosen.alias, pushed=uri)
            if uri is None:
                uri, endpoint = found.uri, found.endpoint
            if found.alias_uri:
                note = f"\n  # or {found.alias_uri} at {found.endpoint}, without a digest, to follow the alias"
            yield f"registered {found.name} {found.version}{f' as {found.alias}' if found.alias else ''}"
        where = f"\n  endpoint: {endpoint}" if endpoint else ""
        yield f"model:\n  uri: {uri}{where}\n  digest: {package.digest}{note}"


def _class(text: str, version: str | None) -> type[Model]:
    """The class that MODULE:CLASS names, imported from the current folder.

    Raises:
        TrainingError: there is none.
    """
    module, colon, name = text.partition(":")
    if not (module and colon and name) or module.endswith(".py") or not module.replace(".", "_").isidentifier():
        raise TrainingError(f"{text!r} names no class; write MODULE:CLASS, such as model:Iris for the file model.py")
    sys.path.insert(0, str(Path.cwd()))
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise TrainingError(f"{module} needs {error.name}, which is not installed here") from error
        raise TrainingError(
            f"there is no {module.replace('.', '/')}.py in {Path.cwd().name}; go to its folder"
        ) from error
    except Exception as error:  # it is other people's code
        raise TrainingError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    known = [key for key, value in vars(imported).items() if inspect.isclass(value) and issubclass(value, Model)]
    if name not in known:
        there = ", ".join(key for key in known if key != Model.__name__) or "none"
        raise TrainingError(f"{module} has no class {name} that inherits from sluice.Model; there is {there}")
    found: type[Model] = getattr(imported, name)
    if version is not None:
        found.version = version
    check_declared(found)
    return found


def _check_places(chosen: argparse.Namespace) -> None:
    """What can be told of where the package goes before hours of training."""
    if chosen.register:
        check_address(chosen.register)
    if not chosen.push:
        return
    try:
        from sluice_store.places import check_writable  # noqa: PLC0415 brings the stores' libraries
    except ModuleNotFoundError as error:
        raise TrainingError(f"--push needs {error.name}; pip install 'sluice-serving[store]'") from error
    check_writable(chosen.push)


def _pushed(package: Package, output: Path, store: str, endpoint: str | None) -> str:
    from sluice_store.errors import StoreError  # noqa: PLC0415 brings the stores' libraries
    from sluice_store.push import push  # noqa: PLC0415

    try:
        return push(package.folder, store, endpoint=endpoint).uri
    except StoreError as error:
        raise _unpublished(str(error), error.permanent, output, store, endpoint) from error
    except PackageError as error:
        raise _unpublished(str(error), error.reason.permanent, output, store, endpoint) from error


def _unpublished(told: str, permanent: bool, output: Path, store: str, endpoint: str | None) -> TrainingError:
    """What is said of it, with where the package is and how it is published later, where it is and can be."""
    again = shlex.join(["sluice", "push", str(output), store, *(["--endpoint", endpoint] if endpoint else [])])
    kept = "" if str(output) == OUTPUT else f"; {output} is kept"
    if permanent:
        return TrainingError(f"{told}{kept}")
    return AwayError(f"{told}{kept and f'{kept}, and published by: {again}'}")


def _replayed(package: Package) -> None:
    """The runtime itself, where it is installed, has the last word."""
    if not replay(package):
        warn(NOT_REPLAYED)
