"""The ASGI application: the listed paths, and nothing that is not listed."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from serve import errors
from serve.errors import ParlanceError
from serve.gateway.body import parse
from serve.gateway.choice import choose
from serve.gateway.job import Job, new_id
from serve.gateway.reading import read_body
from serve.gateway.wire import Receive, Scope, Send, refuse, respond
from serve.gateway.worker import Worker
from serve.routing.records import Endpoint
from serve.routing.render import decision_dict

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._-]{1,128}$")
_JOBS = {f"/v1/{endpoint.value}": endpoint for endpoint in Endpoint}
_MODELS = "/v1/models"


class GatewayApp:
    """What clients talk to."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatches on the path as the server parsed it: no other spelling of it is ever looked at."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        request_id = _client_request_id(scope)
        endpoint = _JOBS.get(path)
        if endpoint is not None and method == "POST":
            await Job(self._worker, endpoint, scope, send, request_id).run(receive)
            return
        request_id = request_id or new_id()
        try:
            await self._other(scope, receive, send, request_id)
        except ParlanceError as error:
            self._worker.instruments.refused(error)
            await refuse(send, error, endpoint, request_id)

    async def _other(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        path, method = scope["path"], scope["method"]
        is_model = path.startswith(_MODELS + "/")
        if path != "/v1/route" and path != _MODELS and not is_model and path not in _JOBS:
            raise errors.NotFound(f"there is no {method} {path[:200]!r} here", code="unknown_url")
        allowed = "GET" if path == _MODELS or is_model else "POST"
        if method != allowed:
            raise errors.MethodNotAllowed(f"{path[:200]} takes {allowed}, not {method}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        caller = self._worker.keyring.identify(headers)
        head = [(b"x-request-id", request_id.encode())]
        if path == "/v1/route":
            body = await read_body(receive, headers, self._worker.settings.limits)
            endpoint, body = route_endpoint(body)
            parsed = parse(body, endpoint, headers, self._worker.settings.limits)
            chosen = choose(self._worker, parsed, caller)
            await respond(send, 200, msgspec.json.encode(decision_dict(chosen.decision)), head)
        elif is_model:
            await respond(send, 200, msgspec.json.encode(self._model(path[len(_MODELS) + 1 :], caller.models)), head)
        else:
            models = [self._card(m.id) for m in self._worker.fleet.models if _may(m.id, caller.models)]
            listing = {"object": "list", "data": [self._auto(), *models]}
            await respond(send, 200, msgspec.json.encode(listing), head)

    def _model(self, name: str, allowed: frozenset[str] | None) -> dict[str, Any]:
        model_id = self._worker.fleet.aliases.get(name, name)
        if model_id == "auto":
            return self._auto() | {"id": name}
        if model_id not in self._worker.upstreams or not _may(model_id, allowed):
            raise errors.NotFound(f"the model {name[:128]!r} does not exist", param="model", code="model_not_found")
        return self._card(model_id)

    def _auto(self) -> dict[str, Any]:
        return {"id": "auto", "object": "model", "created": self._created, "owned_by": "parlance"}

    @property
    def _created(self) -> int:
        return int(self._worker.started_at.timestamp())

    def _card(self, model_id: str) -> dict[str, Any]:
        model = self._worker.fleet.model(model_id)
        return {
            "id": model_id,
            "object": "model",
            "created": self._created,
            "owned_by": (model.card.source or "parlance").partition("/")[0],
            "parlance": {
                "source": model.card.source,
                "aliases": list(model.aliases),
                "context_tokens": model.context_tokens,
                "chat": model.card.chats,
                "languages_declared": list(model.card.languages_declared),
                "input_usd_per_mtok": model.price.input_usd_per_mtok,
                "output_usd_per_mtok": model.price.output_usd_per_mtok,
                "healthy": self._worker.upstreams[model_id].state.healthy,
            },
        }


def _may(model_id: str, allowed: frozenset[str] | None) -> bool:
    return allowed is None or model_id in allowed


def _client_request_id(scope: Scope) -> str | None:
    """The client's own x-request-id where it is harmless in logs and headers, else None: ours is used."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _REQUEST_ID.match(value) else None
    return None


def route_endpoint(body: bytes) -> tuple[Endpoint, bytes]:
    """Which endpoint a dry run is about (`endpoint`, or else what the body has), and the body without that field."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return Endpoint.CHAT, body  # parse() says what is wrong with it
    named = fields.pop("endpoint", None)
    if named is not None:
        try:
            endpoint = Endpoint(msgspec.json.decode(named))
        except (ValueError, msgspec.DecodeError) as error:
            allowed = ", ".join(e.value for e in Endpoint)
            raise errors.BadRequest(f"endpoint: one of {allowed} is allowed", param="endpoint") from error
        return endpoint, msgspec.json.encode(fields)
    if "messages" not in fields:
        if "prompt" in fields:
            return Endpoint.COMPLETIONS, body
        if "input" in fields:
            return Endpoint.RESPONSES, body
    return Endpoint.CHAT, body
