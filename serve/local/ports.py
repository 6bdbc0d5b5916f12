"""Which ports a stack takes: those of the fleet as they stand there, all others wherever there is room."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from serve.errors import LocalError
from serve.fleet import Fleet
from serve.fleet.engine import Cluster
from serve.local.state import LOOPBACK, Ports

# Ray's and HAProxy's own choices; taken when free, so that dashboards and habits fit. Each is an offer only.
USUAL = {
    "gcs": 6379,
    "client": 10_001,
    "agent": 52_365,
    "metrics": 8090,
    "dashboard_metrics": 44_227,
    "autoscaler_metrics": 44_217,
    "haproxy_metrics": 9101,
    "haproxy_stats": 8404,
    "fallback_proxy": 8500,
    "fallback_grpc": 9500,
}
# Prometheus' own choice, and ours for the autoscaler; taken where the stack has them.
OBSERVERS = {"prometheus": 9090, "autoscaler": 8082}
REPLICA_SPAN = 200  # ports a stack's replicas draw from; freed ones rest for minutes before they are used again
REPLICA_STARTS = range(30_000, 32_000, REPLICA_SPAN)


def listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free(port: int) -> bool:
    """Whether the port can be bound on every interface, HAProxy's way."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def fixed(fleet: Fleet, cluster: Cluster, gateway: bool) -> dict[str, tuple[int, str]]:
    """Port and field for each port that the fleet names."""
    ports = {
        "serve": (_port(cluster.serve_url, "serve_url"), "clusters.*.serve_url"),
        "dashboard": (_port(cluster.dashboard_url, "dashboard_url"), "clusters.*.dashboard_url"),
    }
    if gateway:
        ports["gateway"] = (fleet.gateway.port, "gateway.port")
        for port in admin_ports(fleet):
            first = port == fleet.gateway.admin_port
            ports["admin" if first else f"admin {port}"] = (port, "gateway.admin_port")
    return ports


def admin_ports(fleet: Fleet) -> range:
    """The second port of each worker of the gateway."""
    first = fleet.gateway.admin_port
    return range(first, first + fleet.gateway.workers)


def choose(fleet: Fleet, cluster: Cluster, gateway: bool, observers: bool = False) -> Ports:
    """All ports of a stack, with Prometheus and the autoscaler where there are `observers`.

    Raises LocalError for one of the fleet's that is taken, and says by whom if it can.
    """
    named = fixed(fleet, cluster, gateway)
    for name, (port, field) in named.items():
        if not free(port):
            raise LocalError(
                f"port {port} ({field}, the {name} port) is in use{_owner(port)}: end that process or change the field"
            )
    taken = {port for port, _ in named.values()}
    chosen: dict[str, int] = {}
    for name, usual in {**USUAL, **(OBSERVERS if observers else {})}.items():
        port = usual if usual not in taken and free(usual) else _any(taken)
        taken.add(port)
        chosen[name] = port
    low = next((start for start in REPLICA_STARTS if all(free(start + n) for n in range(REPLICA_SPAN))), None)
    if low is None:
        raise LocalError(
            f"no {REPLICA_SPAN} free ports in a row between {REPLICA_STARTS.start} and {REPLICA_STARTS.stop}: "
            "engines need them"
        )
    return Ports(
        gateway=named["gateway"][0] if gateway else None,
        admin=named["admin"][0] if gateway else None,
        serve=named["serve"][0],
        dashboard=named["dashboard"][0],
        replica_low=low,
        replica_high=low + REPLICA_SPAN - 1,
        **chosen,
    )


def _any(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def _port(url: str, field: str) -> int:
    parts = urlsplit(url)
    if parts.hostname not in (LOOPBACK, "localhost") or parts.port is None:
        raise LocalError(
            f"{field} is {url}: `parlance up` serves on this machine only; it must be http://127.0.0.1:<port>"
        )
    return parts.port


def _owner(port: int) -> str:
    """` by <name> (pid n)` where the system tells."""
    import psutil

    try:
        for connection in psutil.net_connections("inet"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})" if connection.pid else ""
    except psutil.Error:
        pass
    return ""
