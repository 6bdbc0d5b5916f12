"""Runs one gateway worker: two uvicorn servers in one loop, and a stop that lets open answers end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop

from serve.errors import LocalError, ParlanceError
from serve.fleet import Fleet
from serve.fleet.gateway import Gateway
from serve.gateway.admin import AdminApp
from serve.gateway.app import GatewayApp
from serve.gateway.auth import KeysFile
from serve.gateway.journal import Journal
from serve.gateway.protocol import protocol_class
from serve.gateway.upstream import NOT_PROBED
from serve.gateway.worker import Worker, keys_of

log = logging.getLogger("parlance.gateway")
BACKLOG = 4096
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


@dataclass(frozen=True)
class Place:
    """Where a worker stands among several (serve.gateway.workers). `alive`: a descriptor that ends when the supervisor
    does; `up`: one to write to when this worker serves; `turn`: the file whose lock gives the turn to write to standard
    output; `shared_dir`: what all workers keep together on disk."""

    number: int
    alive: int
    up: int
    turn: int
    shared_dir: Path | None


def run(fleet: Fleet, directory: Path, place: Place | None = None) -> int:
    """Serves until SIGTERM or SIGINT. `directory` is what relative paths of the description start from; `place` is set
    for one of several workers.

    Raises LocalError when a port is taken, DescriptionError when the keys file is wrong.
    """
    keys = keys_of(fleet, directory)
    gateway = fleet.gateway
    # One of several begins to listen when it can answer, for the others can until then.
    clients = listen(gateway.host, gateway.port) if place is None else bind(gateway.host, gateway.port, shared=True)
    operators = listen(gateway.admin_host, gateway.admin_port)
    form = FORMAT if place is None else FORMAT.replace("%(name)s", f"%(name)s worker {place.number}:")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form, force=True)
    if keys is None:
        log.warning("no API keys are configured: whoever reaches %s may call, so it is loopback only", gateway.host)
    state_dir = directory / gateway.state_dir if gateway.state_dir is not None else None
    uvloop.run(_serve(fleet, keys, clients, operators, state_dir, place))
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises LocalError with one sentence when it cannot be had."""
    listener = bind(host, port)
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _taken(host, port, error) from error
    return listener


def bind(host: str, port: int, shared: bool = False, reuse: bool = True) -> socket.socket:
    """A socket that has the port and does not listen yet. `shared`: others of this user may have the port too, and the
    kernel spreads connections over those that listen. `reuse`: not even connections of an earlier process that linger
    (TIME_WAIT) are in the way. Raises LocalError with one sentence when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    try:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _taken(host, port, error) from error
    listener.setblocking(False)
    return listener


def _taken(host: str, port: int, error: OSError) -> LocalError:
    return LocalError(f"{host}:{port} cannot be listened on: {error.strerror}")


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: two of them run here, and we stop them in order. `up` is set when
    it takes connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        self.up.set()

    def capture_signals(self) -> _Nothing:  # type: ignore[override]
        return _Nothing()


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _server(app: GatewayApp | AdminApp, gateway: Gateway, told: Callable[[ParlanceError], None]) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=protocol_class(gateway.limits, gateway.timeouts, told),
            ws="none",
            loop="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            proxy_headers=False,  # nothing here believes X-Forwarded-For
            log_config=None,
            timeout_keep_alive=int(gateway.limits.keep_alive_s),
            timeout_graceful_shutdown=int(gateway.drain_s),
        )
    )


async def _serve(
    fleet: Fleet,
    keys: KeysFile | None,
    clients: socket.socket,
    operators: socket.socket,
    state_dir: Path | None,
    place: Place | None,
) -> None:
    turn, shared_dir = (None, state_dir) if place is None else (place.turn, place.shared_dir)
    worker = Worker(fleet, keys, Journal(sys.stdout.fileno(), turn), state_dir, shared_dir)
    gateway = fleet.gateway
    main = _server(GatewayApp(worker), gateway, worker.instruments.refused)
    admin = _server(AdminApp(worker), gateway, lambda error: None)  # operators are no callers
    worker.connections = lambda: len(main.server_state.connections)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker.start()
    # What is there by now stays: a collector that walks it again and again takes time from requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # a request leaves no cycles: looking for them every 700 objects finds nothing
    operating = asyncio.create_task(admin.serve(sockets=[operators]))
    if place is not None:
        loop.add_reader(place.alive, _orphaned, loop, place.alive, stop)
        await _probed(worker, stop)
    serving = asyncio.create_task(main.serve(sockets=[clients]))
    await main.up.wait()
    worker.listening = True
    if place is not None:
        os.write(place.up, b"1")
        os.close(place.up)
    log.info(
        "clients: http://%s:%d/v1  operators: http://%s:%d", *clients.getsockname()[:2], *operators.getsockname()[:2]
    )
    await stop.wait()
    drained_at = loop.time() + gateway.drain_s
    worker.drain()  # new connections are refused too
    log.info("draining for at most %g s: %d requests open", gateway.drain_s, worker.in_flight)
    main.should_exit = True
    await serving
    # What the operator's port still answers (the playground's streams) has what is left of the same time: whoever ends
    # the process after `drain_s` and a margin must not cut off the last lines of the ledger.
    admin.config.timeout_graceful_shutdown = max(1, int(drained_at - loop.time()))
    admin.should_exit = True
    await operating
    await worker.stop(max(1.0, drained_at - loop.time()))
    log.info("stopped")


def _orphaned(loop: asyncio.AbstractEventLoop, alive: int, stop: asyncio.Event) -> None:
    loop.remove_reader(alive)
    log.warning("the supervisor is gone: draining")
    stop.set()


async def _probed(worker: Worker, stop: asyncio.Event) -> None:
    """Returns when every engine has been asked for its health once: a worker that took requests before would refuse
    what the others can answer."""
    health, now = worker.settings.health, worker.loop.time
    until = now() + health.timeout_s + 1
    asked = [u.state for u in worker.upstreams.values() if u.probed]
    while any(s.reason == NOT_PROBED for s in asked) and now() < until and not stop.is_set():  # noqa: ASYNC110 - once
        await asyncio.sleep(0.02)
