"""The fleet's ports are taken as they stand; all others wherever there is room."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from serve.errors import LocalError
from serve.fleet import Fleet
from serve.fleet.loader import resolve
from serve.local.ports import OBSERVERS, admin_ports, choose, free, listening

pytestmark = pytest.mark.unit


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def some(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def fleet(serve: int, dashboard: int, gateway: int, admin: int, host: str = "127.0.0.1") -> Fleet:
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}
    cluster = {"serve_url": f"http://{host}:{serve}", "dashboard_url": f"http://127.0.0.1:{dashboard}"}
    return resolve(
        {
            "clusters": {"local": cluster},
            "gateway": {"port": gateway, "admin_port": admin},
            "models": [{"use": "gemma-2-9b-it", "engine": engine}],
        },
        "t",
    )


def test_all_ports_are_different_and_free() -> None:
    four = some(4)
    described = fleet(*four)
    ports = choose(described, described.clusters["local"], gateway=True)
    assert [ports.serve, ports.dashboard, ports.gateway, ports.admin] == four
    listeners = ports.listeners()
    assert len(set(listeners.values())) == len(listeners)
    assert not set(range(ports.replica_low, ports.replica_high + 1)) & set(listeners.values())


def test_prometheus_and_the_autoscaler_have_ports_where_they_are_wanted() -> None:
    described = fleet(*some(4))
    without = choose(described, described.clusters["local"], gateway=True)
    assert (without.prometheus, without.autoscaler) == (None, None)
    ports = choose(described, described.clusters["local"], gateway=True, observers=True)
    listeners = ports.listeners()
    assert {"prometheus", "autoscaler"} <= set(listeners)
    assert len(set(listeners.values())) == len(listeners)


def test_workers_and_the_autoscaler_share_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, dashboard, clients = some(3)
    admin = next(port for port in range(20_000, 30_000) if free(port) and free(port + 1))
    monkeypatch.setitem(OBSERVERS, "autoscaler", admin + 1)  # as 8082 is, beside 8081 and a second worker
    described = fleet(serve, dashboard, clients, admin)
    workers = described.model_copy(update={"gateway": described.gateway.model_copy(update={"workers": 2})})
    ports = choose(workers, described.clusters["local"], gateway=True, observers=True)
    assert ports.admin == admin
    assert ports.autoscaler not in admin_ports(workers)


def test_without_a_gateway_its_ports_do_not_matter(taken: int) -> None:
    serve, dashboard, admin = some(3)
    described = fleet(serve, dashboard, taken, admin)
    ports = choose(described, described.clusters["local"], gateway=False)
    assert ports.gateway is None
    assert "gateway" not in ports.listeners()


def test_a_taken_port_names_port_field_and_owner(taken: int) -> None:
    serve, dashboard, admin = some(3)
    described = fleet(serve, dashboard, taken, admin)
    with pytest.raises(LocalError, match=rf"port {taken} \(gateway\.port.*in use by .* \(pid \d+\)"):
        choose(described, described.clusters["local"], gateway=True)


def test_another_machine_is_refused() -> None:
    described = fleet(*some(4), host="ray.example.com")
    with pytest.raises(LocalError, match=r"http://ray\.example\.com:\d+: `parlance up` serves on this machine only"):
        choose(described, described.clusters["local"], gateway=True)


def test_listening_and_free(taken: int) -> None:
    assert listening(taken)
    assert not free(taken)
    (other,) = some(1)
    assert not listening(other)
    assert free(other)
