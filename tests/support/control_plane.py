"""A Prometheus and a Ray dashboard whose answers a test sets: for what the real ones do only when they are broken."""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from autoscaling import queries
from serve.fleet import Fleet


class _Server(ABC):
    """An HTTP server on a free port, whose `answer` gives status and body."""

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _respond(self) -> None:
                length = int(self.headers.get("content-length", 0))
                status, body = outer.answer(self.command, self.path, self.rfile.read(length))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = _respond

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @abstractmethod
    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer to a request."""

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Metrics(_Server):
    """Prometheus. `values` are by the query's name, 0 where none is given; samples are `age_s` old."""

    def __init__(self, model: str, replica: str) -> None:
        self._model, self._replica = model, replica
        self._names: dict[str, tuple[str, queries.Source]] = {}
        self.values: dict[str, float] = {}
        self.age_s = 1.0
        super().__init__()

    def describe(self, fleet: Fleet) -> None:
        """Whose queries it will be asked."""
        self._names = {str(query.expression): (query.name, query.source) for query in queries.queries(fleet)}
        self._names |= {str(expression): ("time", source) for source, expression in queries.times().items()}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        known = self._names.get(parse_qs(urlsplit(path).query)["query"][0])
        if known is None:  # as of a metric that nobody exports
            return 200, {"status": "success", "data": {"resultType": "vector", "result": []}}
        name, source = known
        now = time.time()
        value = now - self.age_s if name == "time" else self.values.get(name, 0.0)
        labels = {
            queries.Source.GATEWAY: {"model": self._model},
            queries.Source.FLEET: {},
            queries.Source.ENGINES: {"model_name": self._model, "ReplicaId": self._replica},
        }[source]
        result = [{"metric": labels, "value": [now, str(value)]}]
        return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}


class Dashboard(_Server):
    """Ray's dashboard, with one application. `scaled` are the targets that it was told, `fails` the status with which
    it refuses."""

    def __init__(self, model: str, replica: str) -> None:
        self._model, self._replica = model, replica
        self.target = 1
        self.status, self.deployment = "RUNNING", "HEALTHY"
        self.fails: int | None = None
        self.scaled: list[int] = []
        super().__init__()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if method == "POST":
            told = json.loads(body)["target_num_replicas"]
            self.scaled.append(told)
            if self.fails is not None:
                return self.fails, {"error": "external scaler is disabled"}
            self.target = told
            return 200, {}
        deployment = {
            "name": "vllm",
            "status": self.deployment,
            "target_num_replicas": self.target,
            "replicas": [{"replica_id": self._replica, "state": "RUNNING"}],
        }
        return 200, {"applications": {self._model: {"status": self.status, "deployments": {"vllm": deployment}}}}


class ApiServer(_Server):
    """A Kubernetes API server with these objects by path, for answers that a healthy one does not give. `fails` are
    the statuses with which methods are refused; `asked` is what came."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.fails: dict[str, int] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self._version = 100
        super().__init__()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        told = json.loads(body) if body else None
        self.asked.append((method, path, told))
        if method in self.fails:
            status = self.fails[method]
            return status, {"kind": "Status", "message": f"refused with {status}", "code": status}
        if method == "POST":
            path = f"{path}/{told['metadata']['name']}"
        elif path not in self.objects:
            return 404, {"kind": "Status", "message": f"{path} not found", "code": 404}
        if method in ("POST", "PUT"):
            self._version += 1
            meta = {"uid": f"uid-{self._version}", **told["metadata"], "resourceVersion": str(self._version)}
            self.objects[path] = {**told, "metadata": meta}
        return 200, self.objects[path]
