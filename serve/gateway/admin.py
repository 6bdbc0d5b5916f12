"""The operator's port: health, readiness, metrics, the fleet as the gateway sees it, and a page that shows all of it.

Never reachable by clients.
"""

from __future__ import annotations

from typing import Any

import msgspec

from serve.errors import Forbidden
from serve.gateway.console import guard
from serve.gateway.console.app import Console
from serve.gateway.instruments.exposition import expose
from serve.gateway.instruments.looked import look
from serve.gateway.job import new_id
from serve.gateway.wire import Receive, Scope, Send, refuse, respond
from serve.gateway.worker import Worker

# What Prometheus and Kubernetes ask for, by whatever name they know this port.
_ANY_HOST = ("/healthz", "/readyz", "/metrics")


class AdminApp:
    """What operators, Prometheus and Kubernetes' probes talk to."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._console = Console(worker)
        self._names = guard.names_of(worker.settings.admin_host, worker.settings.admin_names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers GET on the few paths there are, and the playground's POST."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path not in _ANY_HOST:
            try:
                guard.check_host(scope["headers"], self._names)
            except Forbidden as error:
                await refuse(send, error, None, new_id())
                return
        if self._console.has(path):
            await self._console(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, b'{"error": "GET only"}')
        elif path == "/healthz":
            await respond(send, 200, b'{"status": "alive"}')
        elif path == "/readyz":
            ready = self._worker.ready
            await respond(send, 200 if ready else 503, msgspec.json.encode({"ready": ready, "models": self._models()}))
        elif path == "/fleet":
            await respond(send, 200, msgspec.json.encode(self._fleet()))
        elif path == "/metrics":
            await self._metrics(scope, send)
        else:
            await respond(send, 404, b'{"error": "paths: / /healthz /readyz /fleet /metrics"}')

    def _models(self) -> dict[str, Any]:
        return {
            model_id: {
                "healthy": upstream.state.healthy,
                "reason": upstream.state.reason,
                "in_flight": upstream.state.in_flight,
            }
            for model_id, upstream in self._worker.upstreams.items()
        }

    def _fleet(self) -> dict[str, Any]:
        return {
            "name": self._worker.fleet.name,
            "reference": self._worker.fleet.reference,
            "keys": None if self._worker.keyring.open else len(self._worker.keyring),
            "draining": self._worker.draining,
            "in_flight": self._worker.in_flight,
            "models": self._models(),
            "description": self._worker.fleet.model_dump(mode="json"),
        }

    async def _metrics(self, scope: Scope, send: Send) -> None:
        worker = self._worker
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        with worker.book.still():
            look(worker)
            body, kind = await expose(worker.instruments.registry, accept)
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
