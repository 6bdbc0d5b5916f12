"""A hub on loopback: the part of huggingface.co's HTTP that fetches a model, from files in memory."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """Files by name. `gated`: only for requests with `token`. `withheld`: named, and not there when asked for."""

    files: Mapping[str, bytes]
    gated: bool = False
    token: str = ""
    commit: str = COMMIT
    withheld: set[str] = field(default_factory=set)


class Hub:
    """A running server; `asked` are its requests' methods and paths."""

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        self.repositories = repositories
        self.asked: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files_asked(self) -> set[str]:
        """Names of the files that were downloaded, or begun."""
        return {path.partition("/resolve/")[2].partition("/")[2] for how, path in self.asked
                if how == "GET" and "/resolve/" in path}  # fmt: skip

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = request.path.partition("?")[0]
        self.asked.append((request.command, path))
        name, rest = _split(path)
        repository = self.repositories.get(name)
        if repository is None:
            _refuse(request, 404, "RepoNotFound", body)
        elif rest[:1] == ["api"]:
            self._api(request, name, repository, rest[1:], body)
        elif repository.gated and request.headers.get("Authorization") != f"Bearer {repository.token}":
            _refuse(request, 403 if request.headers.get("Authorization") else 401, "GatedRepo", body)
        else:
            self._file(request, repository, "/".join(rest[2:]), body)

    def _api(
        self, request: BaseHTTPRequestHandler, name: str, repository: Repository, rest: list[str], body: bool
    ) -> None:
        if len(rest) > 1 and rest[1] not in ("main", repository.commit):
            _refuse(request, 404, "RevisionNotFound", body)
            return
        described = [
            {"rfilename": file, "size": len(data), "type": "file", "path": file, "oid": _etag(data)}
            for file, data in repository.files.items()
        ]
        whole = {"id": name, "modelId": name, "sha": repository.commit, "private": False, "gated": False,
                 "siblings": described, "tags": [], "downloads": 0, "likes": 0}  # fmt: skip
        _send(request, 200, json.dumps(described if rest[:1] == ["tree"] else whole).encode(), {}, body)

    def _file(self, request: BaseHTTPRequestHandler, repository: Repository, file: str, body: bool) -> None:
        data = repository.files.get(file)
        if data is None or file in repository.withheld:
            _refuse(request, 404, "EntryNotFound", body)
            return
        headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": repository.commit}
        _send(request, 200, data, headers, body)


def _split(path: str) -> tuple[str, list[str]]:
    """The repository and what is asked of it."""
    words = path.strip("/").split("/")
    if words[:2] == ["api", "models"]:
        return "/".join(words[2:4]), ["api", *words[4:]]
    return "/".join(words[:2]), words[2:]


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _refuse(request: BaseHTTPRequestHandler, status: int, code: str, body: bool) -> None:
    _send(request, status, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, body)


def _send(request: BaseHTTPRequestHandler, status: int, data: bytes, headers: Mapping[str, str], body: bool) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if body:
        request.wfile.write(data)
