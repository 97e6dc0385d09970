"""A real PostgreSQL from Debian's package on a port of its own: a warehouse for tests and the demo.

It refuses to run as root, so it runs as the user that the package made.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from localcluster import packages
from support.ports import free_port

USER, PASSWORD, DATABASE = "warehouse", "a-password-of-the-tests", "postgres"
ACCOUNT = "postgres"
PATIENCE = 120.0
"""Seconds until it is given up; never a claim about its speed."""


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    address: str
    port: int

    @property
    def dsn(self) -> str:
        """How a program on this machine, or a pod that reaches the address, connects."""
        return self.dsn_at(self.address, self.port)

    def dsn_at(self, host: str, port: int) -> str:
        """The same under another name."""
        return f"postgresql://{USER}:{PASSWORD}@{host}:{port}/{DATABASE}"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection that commits each statement."""
        return psycopg.connect(self.dsn, autocommit=True)


@contextlib.contextmanager
def postgres_server(address: str = "127.0.0.1") -> Iterator[Postgres]:
    """A server with one database, gone afterwards with all that it held."""
    packages.ensure(("postgresql",))
    # Not below a test's own folder, which nobody but root may enter.
    folder = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
    shutil.chown(folder, ACCOUNT)
    port = free_port(address)
    try:
        _initialize(folder)
        with _running(folder, address, port) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialize(folder: Path) -> None:
    secret = folder / "password"
    secret.write_text(PASSWORD)
    shutil.chown(secret, ACCOUNT)
    words = ["--username", USER, "--pwfile", str(secret), "--auth=scram-sha-256", "--locale=C.UTF-8", "--no-sync"]
    done = subprocess.run(
        [str(_program("initdb")), "--pgdata", str(folder / "data"), *words],
        user=ACCOUNT,
        group=ACCOUNT,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")


@contextlib.contextmanager
def _running(folder: Path, address: str, port: int) -> Iterator[Postgres]:
    settings = {"listen_addresses": address, "unix_socket_directories": "", "fsync": "off", "shared_buffers": "32MB"}
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [str(_program("postgres")), "-D", str(folder / "data"), "-p", str(port), *flags]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=ACCOUNT, group=ACCOUNT, cwd=folder, stdout=log, stderr=log)
    server = Postgres(address, port)
    try:
        _until_answering(server, process, folder / "log")
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # at once
        process.wait(PATIENCE)


def _until_answering(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            server.connect().close()
            return
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)


def _program(name: str) -> Path:
    """Debian keeps each version's programs apart and off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parents[1].name))
    assert found, f"the package postgresql brought no {name} below /usr/lib/postgresql"
    assert os.access(found[-1], os.X_OK)
    return found[-1]
