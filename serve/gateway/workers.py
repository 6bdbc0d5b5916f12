"""`parlance gateway --workers N`: a supervisor that starts N workers on one port, and again those that die.

Each worker accepts on a socket of its own (SO_REUSEPORT: the kernel spreads connections), and has an operator's port
and a state directory of its own. They are forked: the tables that decisions read are loaded once and shared by all. The
supervisor serves nothing, so that there is nothing in it to fail.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from time import monotonic

from serve.errors import LocalError, ParlanceError
from serve.fleet import Fleet
from serve.gateway.server import FORMAT, Place, bind, listen
from serve.gateway.server import run as serve
from serve.gateway.worker import keys_of
from serve.routing import prepare

log = logging.getLogger("parlance.workers")

BACKOFF_S = 0.5  # before a worker is started again that had not served for long; doubles
MAX_BACKOFF_S = 30.0
STEADY_S = 60.0  # having served for so long, a worker that dies has died once, and not again
HOPELESS = 5  # ends in a row, of every worker, and none serves: then somebody else must look
SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_S = 10.0  # beyond the drains of both of its ports, before a worker is killed

Start = Callable[[Fleet, Path, Place], int]


@dataclass
class Slot:
    """One worker's place, whoever holds it. Times are those of `monotonic`."""

    number: int
    process: ForkProcess | None = None
    told: int = -1  # readable when the process serves
    serves_since: float | None = None
    failures: int = 0  # in a row
    again_at: float = 0.0

    def died(self, now: float) -> float:
        """Notes the end of its process; seconds until it should be started again."""
        steady = self.serves_since is not None and now - self.serves_since >= STEADY_S
        self.failures = 1 if steady else self.failures + 1
        self.process, self.serves_since = None, None
        delay = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** min(self.failures - 1, 16))
        self.again_at = now + delay
        return delay


def run(fleet: Fleet, directory: Path) -> int:
    """Serves with `fleet.gateway.workers` workers until SIGTERM or SIGINT; 1 when workers cannot be started.

    Raises LocalError when a port is taken, DescriptionError when the keys file is wrong.
    """
    gateway = fleet.gateway
    keys_of(fleet, directory)  # what is wrong with it is told once, and not by each worker
    held = reserve(gateway.host, gateway.port)
    for number in range(gateway.workers):
        listen(gateway.admin_host, gateway.admin_port + number).close()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=FORMAT)
    prepare(fleet)
    gc.collect()
    gc.freeze()  # a collector that touches what is shared would copy it into every worker
    with held:
        return Supervisor(fleet, directory).run()


def reserve(host: str, port: int) -> socket.socket:
    """A socket that keeps the port for this process and its workers, and takes no connection itself. Raises LocalError
    when anybody else has the port: with SO_REUSEPORT alone, two gateways by accident would share their clients."""
    listen(host, port).close()
    try:
        # With SO_REUSEADDR, whoever sets it too could have the port until a worker listens.
        return bind(host, port, shared=True, reuse=False)
    except LocalError:  # nobody listens, so that connections of a gateway of one worker linger
        return bind(host, port, shared=True)


def place_of(fleet: Fleet, directory: Path, number: int) -> tuple[Fleet, Path | None]:
    """The description for a worker (its operator's port, its state directory) and the directory that all share.

    The first keeps the layout of a gateway that is alone, so that one can become several.
    """
    gateway = fleet.gateway
    shared = directory / gateway.state_dir if gateway.state_dir is not None else None
    own = f"{gateway.state_dir}/worker-{number}" if shared is not None and number else gateway.state_dir
    over = {"admin_port": gateway.admin_port + number, "state_dir": own}
    return fleet.model_copy(update={"gateway": gateway.model_copy(update=over)}), shared


@dataclass
class Supervisor:
    """The processes and what becomes of them. `start` is what a worker does."""

    fleet: Fleet
    directory: Path
    start: Start = serve
    slots: list[Slot] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = [Slot(number) for number in range(self.fleet.gateway.workers)]
        self._stopping = False
        self._all_have_served = False
        self._alive, self._life = os.pipe()  # ends when this process does, however it does
        self._turn = tempfile.TemporaryFile()  # noqa: SIM115 - kept for as long as the process

    def run(self) -> int:
        """Starts all, watches them, and ends them; the exit code."""
        wakes, wake = socket.socketpair()
        wakes.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._stop)
        for slot in self.slots:
            self._start(slot)
        while not self._stopping:
            self._wait([wakes], min((s.again_at for s in self.slots if s.process is None), default=None))
            with contextlib.suppress(BlockingIOError):
                wakes.recv(4096)
            if not self._look():
                return self._end(failed=True)
        return self._end(failed=False)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _wait(self, others: list[socket.socket], until: float | None) -> None:
        """Returns when a worker has ended or says that it serves, a signal came, or it is `until`."""
        handles: list[int | socket.socket] = [*others]
        for slot in self.slots:
            if slot.process is not None:
                handles.append(slot.process.sentinel)
            if slot.told >= 0:
                handles.append(slot.told)
        wait(handles, None if until is None else max(0.0, until - monotonic()))

    def _look(self) -> bool:
        """Brings the slots up to date, and starts again what is due. False: there is no use in going on."""
        now = monotonic()
        for slot in self.slots:
            self._listen(slot, now)
            process = slot.process
            if process is not None and process.exitcode is not None:
                process.join()
                served = slot.serves_since is not None
                delay = slot.died(now)
                if not served and not self._all_have_served:
                    log.error("worker %d did not start (%s): giving up", slot.number, _how(process))
                    return False
                log.error("worker %d ended (%s): again in %g s", slot.number, _how(process), delay)
        if all(slot.serves_since is None and slot.failures >= HOPELESS for slot in self.slots):
            log.error("no worker serves, and each has failed %d times: giving up", HOPELESS)
            return False
        for slot in self.slots:
            if slot.process is None and slot.again_at <= now and not self._stopping:
                self._start(slot)
        return True

    def _listen(self, slot: Slot, now: float) -> None:
        """Whether the slot's worker has said that it serves."""
        if slot.told < 0:
            return
        try:
            said = os.read(slot.told, 1)
        except BlockingIOError:
            return
        os.close(slot.told)
        slot.told = -1
        if said:
            slot.serves_since = now
            log.info("worker %d serves (pid %d)", slot.number, slot.process.pid if slot.process else 0)
            self._all_have_served = self._all_have_served or all(s.serves_since is not None for s in self.slots)

    def _start(self, slot: Slot) -> None:
        slot.told, up = os.pipe()
        os.set_blocking(slot.told, False)
        process = multiprocessing.get_context("fork").Process(
            target=self._work, args=(slot.number, up), name=f"worker {slot.number}"
        )
        # A signal that came between the fork and the worker's own handlers would be taken for the supervisor's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(up)
        slot.process = process

    def _work(self, number: int, up: int) -> None:
        """What a worker's process does from its first moment to its last."""
        os.close(self._life)  # else it would hold its own sign of life
        signal.set_wakeup_fd(-1)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        fleet, shared = place_of(self.fleet, self.directory, number)
        code = 1
        try:
            code = self.start(fleet, self.directory, Place(number, self._alive, up, self._turn.fileno(), shared))
        except ParlanceError as error:
            print(f"parlance gateway: worker {number}: {error.message}", file=sys.stderr)
        sys.exit(code)

    def _end(self, failed: bool) -> int:
        """Lets all drain, at once; kills what does not come to an end. 0 when each ended well."""
        running = [slot.process for slot in self.slots if slot.process is not None]
        log.info("ending %d workers", len(running))
        for process in running:
            process.terminate()
        until = monotonic() + 2 * self.fleet.gateway.drain_s + GRACE_S
        for process in running:
            process.join(max(0.0, until - monotonic()))
            if process.exitcode is None:
                log.error("%s did not end: killed", process.name)
                process.kill()
                process.join()
        # SIGTERM ends by itself a worker that did not serve yet.
        return int(failed or any(process.exitcode not in (0, -signal.SIGTERM) for process in running))


def _how(process: ForkProcess) -> str:
    code = process.exitcode or 0
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
