"""The supervisor: what it starts, when again, and when it gives up. Workers here are functions in real processes."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from serve.errors import LocalError
from serve.fleet import loader
from serve.gateway.server import Place
from serve.gateway.workers import BACKOFF_S, MAX_BACKOFF_S, STEADY_S, Slot, Supervisor, place_of, reserve

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def laptop():
    return loader.load(loader.LAPTOP)


def of(fleet, **over):
    return fleet.model_copy(update={"gateway": fleet.gateway.model_copy(update=over)})


@pytest.fixture
def signals():
    """The signal handlers of this process, put back."""
    before = [(n, signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGINT)]
    wakeup = signal.set_wakeup_fd(-1)
    yield
    signal.set_wakeup_fd(wakeup)
    for number, handler in before:
        signal.signal(number, handler)


def test_the_first_worker_keeps_the_layout_of_one_alone(laptop, tmp_path):
    fleet = of(laptop, state_dir="state", admin_port=9000, workers=3)
    places = [place_of(fleet, tmp_path, n) for n in range(3)]
    assert [f.gateway.admin_port for f, _ in places] == [9000, 9001, 9002]
    assert [f.gateway.state_dir for f, _ in places] == ["state", "state/worker-1", "state/worker-2"]
    assert {shared for _, shared in places} == {tmp_path / "state"}
    without, shared = place_of(of(laptop, state_dir=None), tmp_path, 1)
    assert (without.gateway.state_dir, shared) == (None, None)


def test_restarts_come_later_and_later_until_one_lasts():
    slot, delays = Slot(0), []
    for _ in range(10):
        slot.serves_since = 100.0
        delays.append(slot.died(101.0))
    assert delays[:4] == [BACKOFF_S, 2 * BACKOFF_S, 4 * BACKOFF_S, 8 * BACKOFF_S]
    assert delays[-1] == MAX_BACKOFF_S
    assert slot.again_at == 101.0 + MAX_BACKOFF_S
    slot.serves_since = 200.0
    assert slot.died(200.0 + STEADY_S) == BACKOFF_S
    assert slot.failures == 1


@pytest.mark.usefixtures("signals")
def test_it_gives_up_when_a_worker_never_served(laptop, tmp_path, caplog):
    def broken(fleet, directory: Path, place: Place) -> int:
        raise LocalError("no such thing")

    assert Supervisor(of(laptop, workers=2), tmp_path, broken).run() == 1
    assert "did not start (exit code 1): giving up" in caplog.text


@pytest.mark.usefixtures("signals")
def test_it_gives_up_when_nothing_runs_and_nothing_can_be_started(laptop, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("serve.gateway.workers.BACKOFF_S", 0.001)
    monkeypatch.setattr("serve.gateway.workers.HOPELESS", 2)

    def short(fleet, directory: Path, place: Place) -> int:
        os.write(place.up, b"1")
        return 3

    assert Supervisor(of(laptop, workers=2), tmp_path, short).run() == 1
    assert "no worker serves, and each has failed 2 times: giving up" in caplog.text


@pytest.mark.usefixtures("signals")
def test_a_worker_that_dies_is_started_again_and_sigterm_ends_all(laptop, tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("serve.gateway.workers.BACKOFF_S", 0.001)
    starts = tmp_path / "starts"

    def worker(fleet, directory: Path, place: Place) -> int:
        with starts.open("a") as file:
            file.write(f"{place.number} {fleet.gateway.admin_port}\n")
        ends: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
        os.write(place.up, b"1")
        seen = starts.read_text().split("\n")
        if seen.count(f"1 {laptop.gateway.admin_port + 1}") == 1 and place.number == 1:
            while f"0 {laptop.gateway.admin_port}" not in starts.read_text():
                time.sleep(0.001)
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        if place.number == 1:
            os.kill(os.getppid(), signal.SIGTERM)
        while not ends:
            time.sleep(0.001)
        return 0

    assert Supervisor(of(laptop, workers=2), tmp_path, worker).run() == 0
    ports = laptop.gateway.admin_port
    assert sorted(starts.read_text().split("\n")) == ["", f"0 {ports}", f"1 {ports + 1}", f"1 {ports + 1}"]
    assert "worker 1 ended (SIGKILL): again in 0.001 s" in caplog.text


def test_a_port_that_anybody_has_is_refused_and_one_that_is_kept_is_refused_to_others():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        with pytest.raises(LocalError, match="cannot be listened on"):
            reserve("127.0.0.1", other.getsockname()[1])
        port = other.getsockname()[1]
    with reserve("127.0.0.1", port):
        with pytest.raises(LocalError), reserve("127.0.0.1", port):
            pass
        with socket.create_server(("127.0.0.1", port), reuse_port=True) as worker:
            client = socket.create_connection(("127.0.0.1", port), timeout=5)
            worker.accept()[0].close()  # the one that keeps the port takes none
            client.close()


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"port": 9001, "admin_port": 9000, "workers": 2}, "port 9001 is one of the operator's ports, 9000 to 9001"),
        ({"admin_port": 65_535, "workers": 2}, "admin_port 65535 and 2 workers: 65536 is no port"),
        ({"workers": 0}, "greater than or equal to 1"),
    ],
)
def test_ports_of_workers_must_be_free_of_each_other(laptop, over, said):
    with pytest.raises(ValueError, match=said):
        type(laptop.gateway).model_validate({**laptop.gateway.model_dump(), **over})
