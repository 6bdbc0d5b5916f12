"""The stack's processes: found by their mark and their session, ended with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import psutil

MARKER = "PARLANCE_STACK"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps shared memory


def find(marker: str, sessions: Collection[int]) -> list[psutil.Process]:
    """Every process that this stack started, directly or not.

    Children inherit the environment, so the marker in it tells; HAProxy survives its parents, and is found by it too.
    Ray's agents overwrite their environment with their title: these are found by the session that they were started
    in (nothing in Ray or vLLM leaves it), and only if their environment is gone, since session ids are used again.
    """
    return [process for process in psutil.process_iter() if _ours(process, marker, sessions)]


def _ours(process: psutil.Process, marker: str, sessions: Collection[int]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = process.environ()
        if environment:
            return environment.get(MARKER) == marker
        # A kernel thread has neither environment nor command line.
        return os.getsid(process.pid) in sessions and bool(process.cmdline())
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False


def end(marker: str, sessions: Collection[int], grace_s: float) -> int:
    """Ends every process of the stack, SIGTERM first, and returns how many there were.

    What is left after `grace_s` is killed. Scans again until nothing is found, as a dying parent may start another.
    Python's resource trackers come last: they remove the shared memory and semaphores of those that were killed.
    """
    processes = find(marker, sessions)
    ended = {process.pid for process in processes}
    shared = _shared_memory(processes)
    _each(processes, psutil.Process.terminate)
    _wait(processes, grace_s)
    for _ in range(20):
        processes = find(marker, sessions)
        if not processes:
            break
        ended |= {process.pid for process in processes}
        shared |= _shared_memory(processes)
        others = [process for process in processes if not _is_tracker(process)]
        _each(others or processes, psutil.Process.kill)
        _wait(processes, 2)
    for path in shared:  # what a killed process could not remove
        path.unlink(missing_ok=True)
    return len(ended)


def _is_tracker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any("resource_tracker" in word for word in process.cmdline())
    return False


def _shared_memory(processes: Iterable[psutil.Process]) -> set[Path]:
    """Files of shared memory that these processes map. Read by hand: psutil's maps take a tenth of a second each."""
    found: set[Path] = set()
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/maps") as maps:
            paths = (line.split(maxsplit=5)[-1].rstrip() for line in maps if f" {SHARED_MEMORY}/" in line)
            found |= {Path(path) for path in paths if not path.endswith("(deleted)")}
    return found


def _wait(processes: Iterable[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    waiting = list(processes)
    while waiting and time.monotonic() < deadline:
        time.sleep(0.1)
        waiting = [process for process in waiting if _alive(process)]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _each(processes: Iterable[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            action(process)


def memory_bytes(marker: str, sessions: Collection[int]) -> dict[str, int]:
    """Memory by process name, in bytes: PSS, in which a page shared by n processes counts an nth in each."""
    total: dict[str, int] = {}
    for process in find(marker, sessions):
        with contextlib.suppress(psutil.Error, OSError):
            name = process.name()
            total[name] = total.get(name, 0) + int(process.memory_full_info().pss)
    return total
