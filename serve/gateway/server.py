"""Runs one gateway worker: two uvicorn servers in one loop, and a stop that lets open answers end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from pathlib import Path
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
import uvloop

from serve.errors import LocalError, ParlanceError
from serve.fleet import Fleet
from serve.fleet.gateway import Gateway
from serve.gateway.admin import AdminApp
from serve.gateway.app import GatewayApp
from serve.gateway.auth import KeysFile
from serve.gateway.protocol import protocol_class
from serve.gateway.worker import Worker, keys_of

log = logging.getLogger("parlance.gateway")
BACKLOG = 4096


def run(fleet: Fleet, directory: Path) -> int:
    """Serves until SIGTERM or SIGINT. `directory` is what relative paths of the description start from.

    Raises LocalError when a port is taken, DescriptionError when the keys file is wrong.
    """
    keys = keys_of(fleet, directory)
    gateway = fleet.gateway
    clients = listen(gateway.host, gateway.port)
    operators = listen(gateway.admin_host, gateway.admin_port)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if keys is None:
        log.warning("no API keys are configured: whoever reaches %s may call, so it is loopback only", gateway.host)
    state_dir = directory / gateway.state_dir if gateway.state_dir is not None else None
    uvloop.run(_serve(fleet, keys, clients, operators, state_dir))
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises LocalError with one sentence when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise LocalError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: two of them run here, and we stop them in order."""

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
) -> None:
    worker = Worker(fleet, keys, sys.stdout.fileno(), state_dir)
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
    running = [asyncio.create_task(s.serve(sockets=[sock])) for s, sock in ((main, clients), (admin, operators))]
    log.info(
        "clients: http://%s:%d/v1  operators: http://%s:%d", *clients.getsockname()[:2], *operators.getsockname()[:2]
    )
    await stop.wait()
    drained_at = loop.time() + gateway.drain_s
    worker.draining = True  # readiness says no, new connections are refused, open answers go on
    log.info("draining for at most %g s: %d requests open", gateway.drain_s, worker.in_flight)
    main.should_exit = True
    await running[0]
    admin.should_exit = True
    await running[1]
    await worker.stop(max(1.0, drained_at - loop.time()))
    log.info("stopped")
