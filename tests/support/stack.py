"""A running stack as the tests see it, and the laptop fleet on ports of its own."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from serve.fleet import Fleet, loader
from serve.local.state import State, Store

LOWEST, HIGHEST, STRIDE = 20_000, 30_000, 1009
_given = itertools.count()


@dataclass(frozen=True)
class Stack:
    """A running stack and where it answers."""

    gateway_url: str
    admin_url: str
    serve_url: str
    fleet: Fleet
    fleet_file: Path
    logs: Path
    state: State
    store: Store


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different, and none that this process was given before.

    Above those of Ray's workers (10,002 to 19,999: it refuses to start on one of them), below those that the system
    gives to connections (32,768 on Linux) and Ray to replicas (30,000), and begun at a place of the process's own:
    tests that run at once do not meet.
    """
    found: list[int] = []
    while len(found) < count:
        port = LOWEST + (os.getpid() * STRIDE + next(_given)) % (HIGHEST - LOWEST)
        with socket.socket() as probe:
            # As servers bind: a connection that ended a minute ago is no reason against a port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found


def laptop_elsewhere(path: Path) -> Path:
    """The shipped laptop fleet with other ports, written to `path`."""
    serve, dashboard, gateway, admin = free_ports(4)
    raw = yaml.safe_load(loader.LAPTOP.read_text(encoding="utf-8"))
    raw["clusters"] = {
        "local": {"serve_url": f"http://127.0.0.1:{serve}", "dashboard_url": f"http://127.0.0.1:{dashboard}"}
    }
    raw["gateway"] = {**raw.get("gateway", {}), "port": gateway, "admin_port": admin}
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def running(store: Store) -> Stack:
    """The stack of a state directory."""
    state = store.load()
    assert state is not None, f"{store.root}: no stack is recorded there"
    assert state.gateway_url, f"{store.root}: that stack has no gateway"
    assert state.admin_url
    fleet_file = Path(state.fleet)
    return Stack(
        gateway_url=state.gateway_url,
        admin_url=state.admin_url,
        serve_url=state.serve_url,
        fleet=loader.load(fleet_file),
        fleet_file=fleet_file,
        logs=store.logs,
        state=state,
        store=store,
    )
