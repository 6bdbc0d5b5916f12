"""The operator's page: its files, the data that it asks for, and the playground's way into the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from serve import errors
from serve.errors import ParlanceError
from serve.gateway.app import GatewayApp
from serve.gateway.console import guard
from serve.gateway.console.costs import costs
from serve.gateway.console.files import INDEX, SAFE, Files
from serve.gateway.console.fleet import facts, health
from serve.gateway.job import new_id
from serve.gateway.wire import Message, Receive, Scope, Send, refuse, respond
from serve.gateway.worker import LOOPBACK, Worker
from serve.routing.records import Endpoint

PREFIX = "/console/"
_DATA = PREFIX + "data/"
_PLAY = PREFIX + "v1/"
_PLAYED = frozenset({"/v1/route", *(f"/v1/{endpoint.value}" for endpoint in Endpoint)})
_NOT_KEPT = (b"cache-control", b"no-store")
Query = dict[str, str]


class Console:
    """What a browser on the operator's port talks to."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._gateway = GatewayApp(worker)
        self._files = Files()
        self._data: dict[str, Callable[[Query], Awaitable[Any]]] = {
            "facts": self._facts,
            "health": self._health,
            "decisions": self._decisions,
            "decision": self._decision,
            "costs": self._costs,
            "plan": self._read_plan,
        }

    @staticmethod
    def has(path: str) -> bool:
        """Whether the path is the page's."""
        return path == "/" or path.startswith(PREFIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whose Host has been checked."""
        path, method = scope["path"], scope["method"]
        try:
            if path.startswith(_PLAY):
                await self._play(scope, receive, send)
            elif method not in ("GET", "HEAD"):
                raise errors.MethodNotAllowed(f"{path[:200]} takes GET")
            elif path.startswith(_DATA):
                guard.check_reader(scope["headers"])
                await self._send_data(path.removeprefix(_DATA), scope["query_string"], send)
            else:
                await self._send_file(path, scope, send)
        except ParlanceError as error:
            await refuse(with_headers(send), error, None, new_id())

    async def _send_file(self, path: str, scope: Scope, send: Send) -> None:
        name = INDEX if path == "/" else path.removeprefix(PREFIX)
        if name not in self._files or (name == INDEX and path != "/"):
            raise errors.NotFound(f"there is no {path[:200]!r} here", code="unknown_url")
        await self._files.send(name, dict(scope["headers"]), send)

    async def _send_data(self, name: str, query: bytes, send: Send) -> None:
        reader = self._data.get(name)
        if reader is None:
            raise errors.NotFound(f"there is no data {name[:200]!r}: {', '.join(self._data)}", code="unknown_url")
        asked = {key: values[0] for key, values in parse_qs(query.decode("latin-1"), max_num_fields=8).items()}
        await respond(send, 200, msgspec.json.encode(await reader(asked)), [_NOT_KEPT, *SAFE])

    async def _facts(self, _: Query) -> Any:
        return facts(self._worker)

    async def _health(self, _: Query) -> Any:
        return health(self._worker)

    async def _decisions(self, query: Query) -> Any:
        """Those since `after`, a place that an earlier answer gave as `next`."""
        after = query.get("after", "0")
        if not (after.isdecimal() and len(after) < 16):
            raise errors.BadRequest("after: a whole number is wanted, the `next` of an earlier answer", param="after")
        recent = self._worker.recent
        place, records = recent.after(int(after))
        started = self._worker.started_at.timestamp()
        return {"started_at": started, "next": place, "kept": recent.size, "decisions": records}

    async def _decision(self, query: Query) -> Any:
        """One of them by its id, as soon as its request is over: null until then."""
        return {"decision": self._worker.recent.find(query.get("id", ""))}

    async def _costs(self, _: Query) -> Any:
        worker = self._worker
        worker.book.flush()
        return {
            "started_at": worker.started_at.timestamp(),
            "reference": worker.fleet.reference,
            "rows": costs(worker.instruments.registry),
        }

    async def _read_plan(self, _: Query) -> Any:
        """The plan as it was last read, when (seconds since the epoch), and why it is not the plan of this moment."""
        last = await self._worker.plan.last()
        return {"url": self._worker.plan.url, "plan": last.plan, "read_at": last.read_at, "problem": last.problem}

    async def _play(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on to the clients' application, in this process: keys, limits, prices and log are theirs."""
        worker, path = self._worker, "/" + scope["path"].removeprefix(PREFIX)
        if path not in _PLAYED:
            raise errors.NotFound(f"the playground has no {path[:200]!r}", code="unknown_url")
        if scope["method"] != "POST":
            raise errors.MethodNotAllowed(f"{path} takes POST, not {scope['method']}")
        guard.check_sender(scope["headers"])
        if worker.keyring.open and worker.settings.admin_host not in LOOPBACK:
            raise errors.Forbidden(
                f"no API keys are configured, and this port listens on {worker.settings.admin_host}: whoever "
                f"reaches it could use the models. Configure gateway.keys_file, or listen on 127.0.0.1",
                code="playground_off",
            )
        if worker.draining:
            raise errors.Unavailable("the gateway is stopping", retry_after_s=5)
        headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        inner = {**scope, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
        await self._gateway(inner, receive, with_headers(send))


def with_headers(send: Send) -> Send:
    """`send` with the console's headers on the answer of another application.

    No `no-store`: answers to POST are not kept anyway, and Chromium 156 then reports streams that were read to their
    end as aborted.
    """

    async def safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *SAFE]}
        await send(message)

    return safe
