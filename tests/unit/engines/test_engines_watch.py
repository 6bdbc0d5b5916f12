"""A hang is: work waiting, and no step for the limit."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.engines.watch import EXIT_CODE, Stall

pytestmark = pytest.mark.unit


def test_standing_still_with_work_is_a_hang_after_the_limit() -> None:
    stall = Stall(10, now=0)
    assert not stall.hangs(steps=5, unfinished=1, now=0)
    assert not stall.hangs(steps=5, unfinished=1, now=9.9)
    assert stall.hangs(steps=5, unfinished=1, now=10)


def test_an_idle_engine_never_hangs_and_the_clock_starts_with_the_work() -> None:
    stall = Stall(10, now=0)
    assert not stall.hangs(steps=5, unfinished=0, now=1000)
    assert not stall.hangs(steps=5, unfinished=1, now=1009)
    assert stall.hangs(steps=5, unfinished=1, now=1010)


@given(st.lists(st.tuples(st.floats(0, 9.99), st.booleans()), max_size=50))
def test_a_step_within_the_limit_is_never_a_hang(events: list[tuple[float, bool]]) -> None:
    stall, now = Stall(10, now=0), 0.0
    for steps, (pause, busy) in enumerate(events):
        now += pause
        assert not stall.hangs(steps, unfinished=int(busy), now=now)


PARENT = """
import subprocess, sys, time
from serve.engines.watch import end_process_tree
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(0.1)
end_process_tree()
"""


def test_the_process_ends_with_its_children() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == EXIT_CODE
    child = int(done.stdout)
    deadline = time.monotonic() + 2
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
