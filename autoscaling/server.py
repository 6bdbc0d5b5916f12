"""`/plan`, `/healthz` and `/metrics` for operators, Prometheus and probes; and the process around the controller."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from autoscaling.controller import Controller, patience_s
from autoscaling.fetch import Unreachable
from autoscaling.leader import Alone, FileLock
from autoscaling.published import as_json
from autoscaling.relay import OWN, Relay
from serve.errors import LocalError
from serve.fleet import Fleet

log = logging.getLogger("parlance.autoscaler")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOCK = "leader.lock"
JSON = "application/json"


class App:
    """An ASGI app of a few paths. /plan is the leader's, whichever process is asked; /plan/own is this one's."""

    def __init__(self, controller: Controller, relay: Relay | None = None) -> None:
        """`relay` asks the leader, where others may lead."""
        self._controller = controller
        self._relay = relay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers GET."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if path == "/plan" and method in ("GET", "HEAD"):
            status, kind, body = 200, JSON, await self._plan()
        else:
            status, kind, body = self._answer(method, path)
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

    async def _plan(self) -> bytes:
        if self._relay is None or self._controller.leads:
            return plan_of(self._controller)
        try:
            return await self._relay.plan() or plan_of(self._controller)
        except Unreachable as error:
            return plan_of(self._controller, (f"the leader does not tell its plan: {error}",))

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if method not in ("GET", "HEAD"):
            return 405, JSON, b'{"error": "GET only"}'
        if path == OWN:
            return 200, JSON, plan_of(self._controller)
        if path == "/healthz":
            late = self._controller.late
            text = {"status": "no round ended in time" if late else "alive", "leader": self._controller.leads}
            return 503 if late else 200, JSON, msgspec.json.encode(text)
        if path == "/metrics":
            return 200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._controller.instruments.registry)
        return 404, JSON, b'{"error": "paths: /plan /plan/own /healthz /metrics"}'


def plan_of(controller: Controller, problems: Sequence[str] = ()) -> bytes:
    """This process's last round as JSON; `problems` say why there is none."""
    interval_s = controller.fleet.autoscaling.interval_s
    return msgspec.json.encode(
        as_json(
            controller.last,
            leads=controller.leads,
            dry_run=controller.dry_run,
            interval_s=interval_s,
            wall=time.time(),
            problems=problems,
        )
    )


def run(fleet: Fleet, state_dir: Path | None, dry_run: bool) -> int:
    """Plans and serves until SIGTERM or SIGINT. Raises LocalError when port or state directory cannot be had."""
    settings = fleet.autoscaling
    listener = _listen(settings.host, settings.port)
    controller, relay = _controller(fleet, state_dir, dry_run)
    asyncio.run(_serve(App(controller, relay), controller, listener))
    return 0


def once(fleet: Fleet, state_dir: Path | None, dry_run: bool) -> int:
    """One round, printed. Raises LocalError where another autoscaler leads.

    What libraries print on the way (HiGHS does now and then) goes to stderr: it is no part of the answer.
    """
    sys.stdout.flush()
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    controller, _ = _controller(fleet, state_dir, dry_run)
    if not asyncio.run(_one_round(controller)):
        raise LocalError(f"no round: another autoscaler leads, or it cannot be known ({_by_what(fleet, state_dir)})")
    with os.fdopen(answer, "wb") as file:
        file.write(msgspec.json.format(plan_of(controller), indent=2) + b"\n")
    return 0


async def _one_round(controller: Controller) -> bool:
    try:
        return await controller.step()
    finally:
        await controller.end()


def _by_what(fleet: Fleet, state_dir: Path | None) -> str:
    settings = fleet.autoscaling.kubernetes
    return f"the Lease {settings.lease}" if settings is not None else f"it holds {state_dir}/{LOCK}"


def _controller(fleet: Fleet, state_dir: Path | None, dry_run: bool) -> tuple[Controller, Relay | None]:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if fleet.autoscaling.kubernetes is not None:
        from autoscaling.kubernetes.site import open_site

        site = open_site(fleet, fleet.autoscaling.kubernetes, patience_s(fleet))
        # Who changes nothing must not keep from leading who does.
        if dry_run:
            return Controller(fleet, Alone(), None, dry_run, site), None
        return Controller(fleet, site.lease, None, dry_run, site), Relay(site.lease.leader_url)
    leader = FileLock(state_dir / LOCK) if state_dir is not None else Alone()
    return Controller(fleet, leader, state_dir, dry_run), None


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise LocalError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the round in progress ends first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(app: App, controller: Controller, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("plans: http://%s:%d/plan", *listener.getsockname()[:2])
    await controller.run(stop)
    server.should_exit = True
    await serving
    log.info("stopped")
