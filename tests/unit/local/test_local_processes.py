"""Processes are found by mark or session, and all of them end; nobody else's does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from serve.local.processes import MARKER, end, find

pytestmark = pytest.mark.unit

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); import time; time.sleep(60)"


@pytest.fixture
def marker() -> Iterator[str]:
    mark = uuid.uuid4().hex
    yield mark
    end(mark, [], 0)


def start(code: str, mark: str | None = None, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    environment = env if env is not None else {**os.environ, **({MARKER: mark} if mark else {})}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    return process


def test_children_are_found_and_ended_and_strangers_spared(marker: str) -> None:
    parent = start(PARENT, marker)
    stranger = start(SLEEP)
    try:
        assert len(find(marker, [])) == 2
        assert end(marker, [], 5) == 2
        assert find(marker, []) == []
        assert parent.wait(5) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_ignores_sigterm_is_killed(marker: str) -> None:
    process = start(STUBBORN, marker)
    began = time.monotonic()
    assert end(marker, [], 0.3) == 1
    assert process.wait(5) == -signal.SIGKILL
    assert time.monotonic() - began < 2


def test_a_process_that_wiped_its_environment_is_found_by_its_session(marker: str) -> None:
    """As Ray's agents do when they set their title."""
    process = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, env={}, start_new_session=True)
    assert process.stdout
    process.stdout.readline()
    try:
        assert find(marker, []) == []
        assert [p.pid for p in find(marker, [process.pid])] == [process.pid]
    finally:
        process.kill()
        process.wait()


def test_a_foreign_process_in_a_reused_session_is_spared(marker: str) -> None:
    stranger = start(SLEEP)
    try:
        assert stranger.pid not in {p.pid for p in find(marker, [os.getsid(stranger.pid)])}
    finally:
        stranger.kill()
        stranger.wait()


SHARED = """
import time
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(create=True, size=4096, name={name!r})
resource_tracker.unregister(memory._name, "shared_memory")
print("up", flush=True)
time.sleep(60)
"""


def test_shared_memory_of_a_killed_process_is_removed(marker: str) -> None:
    name = f"parlance-{marker[:8]}"
    start(SHARED.format(name=name), marker)
    assert Path("/dev/shm", name).exists()
    end(marker, [], 0)
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name=name)
