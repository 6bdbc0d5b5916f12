"""503 at once where Ray Serve would keep a request until a replica appears.

HAProxy sends a request of an application without a live replica to the head's Serve proxy, which queues it, without a
status and without end. A queue there is blind (no tenant, no deadline, no other model), so it answers 503 instead: the
gateway, which has all of these, decides whether to wait or to go elsewhere.
"""

from __future__ import annotations

from typing import Any

from serve.engines.asgi import App, Receive, Scope, Send, unavailable

# Serve's own paths, which HAProxy's health check of this proxy asks for.
SYSTEM_PREFIX = "/-/"


class NoReplica:
    """Answers every request but Serve's own ones with 503."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 503, or passes one of Serve's own requests on."""
        if scope["type"] == "http" and not scope["path"].startswith(SYSTEM_PREFIX):
            await unavailable(send, "no replica of this model is ready")
        else:
            await self.app(scope, receive, send)


def middlewares() -> list[Any]:
    """What RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH asks for: `NoReplica` in a proxy, nothing in a replica.

    Ray calls this in both kinds of process; only a replica has a replica context.
    """
    from ray import serve
    from ray.serve.exceptions import RayServeException
    from starlette.middleware import Middleware

    try:
        serve.get_replica_context()
    except RayServeException:
        return [Middleware(NoReplica)]
    return []
