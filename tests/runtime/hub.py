"""A model repository that answers as the Hugging Face Hub does.

The Hub cannot be installed, so this is not the real thing: it answers what the Hub's public API is said to answer,
and the Hub's own client downloads from it (tests/integrations/registries/test_hub_client.py). Small files come from the
Hub itself, large ones by a redirect to another server, which must never see a token.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 1000
"""Bytes from which on a file is kept in LFS, as a Hub's repository would have it by its name."""

NONE: Mapping[str, str] = {}


@dataclass
class Repository:
    """Files by commit, and what its branches stand for. `token`: None for a public one."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Move a branch to a new commit with these files."""
        text = repr([(len(self.commits), *sorted(files.items()))]).encode()
        sha = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        self.commits[sha] = {".gitattributes": b"*.onnx filter=lfs", **files}
        self.branches[branch] = sha
        return sha


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.seen: list[tuple[str, str]] = []
        self.cuts = 0


class Hub:
    """The Hub and its content delivery network. `seen` of each: paths, and what was said in `Authorization`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.delivery: dict[str, bytes] = {}
        self.front, self.cdn = _Server(self), _Server(self)
        self.url = self.front.url

    def repository(self, name: str, **more: Any) -> Repository:
        """A new repository."""
        self.repositories[name] = Repository(**more)
        return self.repositories[name]

    def described(self, name: str, commit: str) -> dict[str, Any]:
        """What `GET /api/models/NAME/revision/REVISION?blobs=true` answers."""
        files = self.repositories[name].commits[commit]
        siblings = [_sibling(path, content) for path, content in files.items()]
        return {"id": name, "modelId": name, "sha": commit, "private": False, "tags": [], "siblings": siblings}


def _sibling(path: str, content: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
    if len(content) >= LARGE:
        told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return told


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        """The Hub's own client asks so before it downloads."""
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.seen.append((path, self.headers.get("Authorization", "")))
        hub = self.server.hub
        if self.server is hub.cdn:
            self.deliver(hub.delivery[path.strip("/")])
        elif path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self.describe(name, revision)
        else:
            name, _, rest = path.strip("/").partition("/resolve/")
            self.resolve(name, *rest.split("/", 1))

    def deliver(self, content: bytes) -> None:
        """From one of many places, each with an ETag of its own; the line from the first ones is bad."""
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        rest = content[begin:]
        place = {"ETag": f'"of place {len(self.server.seen)}"'}
        if begin:
            place["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        sent = rest
        if self.server.cuts:
            self.server.cuts -= 1
            sent, self.close_connection = rest[: len(rest) // 2], True
        self.answer(206 if begin else 200, sent, len(rest), place)

    def describe(self, name: str, revision: str) -> None:
        found = self.repository(name)
        commit = found.branches.get(revision, revision) if found else ""
        if found is None:
            # To a stranger the Hub does not say whether there is one.
            status = 404 if self.headers.get("Authorization") else 401
            self.answer(status, b'{"error":"not found"}', headers={"X-Error-Code": "RepoNotFound"})
        elif commit not in found.commits:
            self.answer(404, b'{"error":"not found"}', headers={"X-Error-Code": "RevisionNotFound"})
        else:
            self.answer(200, json.dumps(self.server.hub.described(name, commit)).encode())

    def resolve(self, name: str, commit: str, path: str) -> None:
        found = self.repository(name)
        content = found.commits.get(commit, {}).get(path) if found else None
        if content is None:
            self.answer(404, b"Entry not found", headers={"X-Error-Code": "EntryNotFound"})
        elif len(content) < LARGE:
            self.answer(200, content, headers={"ETag": f'"{"0" * 40}"', "X-Repo-Commit": commit})
        else:
            sha256 = hashlib.sha256(content).hexdigest()
            self.server.hub.delivery.setdefault(sha256, content)
            linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": commit}
            place = {"Location": f"{self.server.hub.cdn.url}/{sha256}?Signature=s3cret"}
            self.answer(302, b"", headers={**place, **linked})

    def repository(self, name: str) -> Repository | None:
        """A repository, if the caller may see it."""
        found = self.server.hub.repositories.get(name)
        if found is None or (found.token and self.headers.get("Authorization") != f"Bearer {found.token}"):
            return None
        return found

    def answer(self, status: int, content: bytes, length: int | None = None, headers: Mapping[str, str] = NONE) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextlib.contextmanager
def hugging_face() -> Iterator[Hub]:
    """A Hub on loopback, gone afterwards."""
    hub = Hub()
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (hub.front, hub.cdn)]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server in (hub.front, hub.cdn):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
