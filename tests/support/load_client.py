"""Sends Open Inference Protocol requests at a steady rate and writes down every single one.

It runs inside the cluster, in a pod with nothing but Python: applications reach a model through its Service, so the
load does too, on a local cluster and on any other. It judges nothing. Each request becomes one record on stdout, so
that whoever reads them estimates nothing. A connection that the server closed while it was idle is opened again, as any
client does; one that breaks after a request was sent is a failed request and is never sent again.

Output, one JSON object a line:
  {"seq": 0, "began": <unix seconds>}
  {"seq": n, "revisions": [...], "records": [[start, latency, revision, status, row, outputs or error], ...]}
  {"seq": n, "done": <requests>}
`start` is in seconds since `began`, `latency` in milliseconds, `revision` an index into `revisions` (-1: unknown),
`status` the HTTP status (0: no answer), `row` the index of the body sent, outputs flat in the order of the answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import signal
import socket
import sys
import time
from typing import Any

FLUSH_SECONDS = 0.1
ERROR_TEXT_LIMIT = 200
Answer = tuple[str, int, "list[float] | str"]  # revision, status, flat outputs or what went wrong


class Recorder:
    """Gathers records and prints them a few times a second."""

    def __init__(self) -> None:
        self.began = time.time()
        self.seq = 0
        self.revisions: list[str] = []
        self.records: list[list[Any]] = []
        self.total = 0
        self.emit(began=self.began)

    def add(self, start: float, latency: float, row: int, answer: Answer) -> None:
        revision, status, outcome = answer
        if revision and revision not in self.revisions:
            self.revisions.append(revision)
        index = self.revisions.index(revision) if revision else -1
        begun = round(start - self.began, 4)
        self.records.append([begun, round(latency * 1000, 3), index, status, row, outcome])
        self.total += 1

    def flush(self) -> None:
        if self.records:
            self.emit(revisions=self.revisions, records=self.records)
            self.records = []

    def emit(self, **content: Any) -> None:
        print(json.dumps({"seq": self.seq, **content}, separators=(",", ":")), flush=True)
        self.seq += 1


class Connection:
    """One keep-alive HTTP/1.1 connection. Not a general client: answers must carry a Content-Length."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send one request and read its answer: status, lower-case headers, body."""
        if self.reader is None or self.writer is None or self.reader.at_eof() or self.writer.is_closing():
            self.close()
            self.reader, self.writer = await asyncio.open_connection(self.address, self.port)
        self.writer.write(request)
        status, headers = parse_head(await self.reader.readuntil(b"\r\n\r\n"))
        if "content-length" not in headers:
            raise ValueError("the answer has no Content-Length")
        body = await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer's head."""
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


class Load:
    """A bounded number of requests over a fixed number of connections at a wanted total rate."""

    def __init__(self, config: dict[str, Any], address: str) -> None:
        self.config, self.address, self.recorder = config, address, Recorder()
        host, path = config["host"], config["path"]
        self.requests = [request_bytes(host, path, body) for body in config["bodies"]]
        self.sent = 0
        self.stopping = False

    def stop(self) -> None:
        self.stopping = True

    async def run(self) -> None:
        count = self.config["connections"]
        flusher = asyncio.create_task(self.flush_regularly())
        asyncio.get_running_loop().call_later(self.config["max_seconds"], self.stop)
        await asyncio.gather(*(self.connection(index, count) for index in range(count)))
        flusher.cancel()
        self.recorder.flush()
        self.recorder.emit(done=self.recorder.total)

    async def flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.recorder.flush()

    async def connection(self, index: int, count: int) -> None:
        """One connection's share of the rate, offset so that the connections take turns."""
        loop, period = asyncio.get_running_loop(), count / self.config["rate"]
        due, connection = loop.time() + period * index / count, Connection(self.address, self.config["port"])
        while await self.may_send_at(due):
            row = self.sent % len(self.requests)
            self.sent += 1
            await self.send(connection, row)
            # A late connection goes on at its rate; it does not fire a burst to catch up.
            due = max(due + period, loop.time())
        connection.close()

    async def may_send_at(self, due: float) -> bool:
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return not self.stopping and self.sent < self.config["max_requests"]

    async def send(self, connection: Connection, row: int) -> None:
        start, clock = time.time(), time.perf_counter()
        answer = await self.ask(connection, self.requests[row])
        self.recorder.add(start, time.perf_counter() - clock, row, answer)

    async def ask(self, connection: Connection, request: bytes) -> Answer:
        revision, status = "", 0
        try:
            async with asyncio.timeout(self.config["timeout"]):
                status, headers, body = await connection.exchange(request)
            revision = headers.get("x-sluice-revision", "")
            outcome = flat_outputs(body) if status == 200 else body.decode(errors="replace")[:ERROR_TEXT_LIMIT]
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, LookupError, TypeError) as problem:
            connection.close()
            return revision, status, f"{type(problem).__name__}: {problem}"[:ERROR_TEXT_LIMIT]
        return revision, status, outcome


def request_bytes(host: str, path: str, body: Any) -> bytes:
    payload = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
    )
    return head.encode() + b"\r\n" + payload


def flat_outputs(body: bytes) -> list[float]:
    """All output values of an answer in one list, rounded to what a float32 holds."""
    outputs = json.loads(body)["outputs"]
    return [float(f"{value:.8g}") for output in outputs for value in output["data"]]


def private_address(host: str) -> str:
    """The host's address; refuses one outside private ranges, so that no load ever leaves for the internet."""
    address = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    if not ipaddress.ip_address(address).is_private:
        raise SystemExit(f"{host} is {address}: load goes to private addresses only")
    return str(address)


async def main(config: dict[str, Any]) -> None:
    load = Load(config, private_address(config["host"]))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, load.stop)
    await load.run()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as settings:
        asyncio.run(main(json.load(settings)))
