"""Health follows the engine: when it dies or hangs, the actor's process ends at once and Ray Serve starts another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Protocol

import psutil

logger = logging.getLogger("ray.serve")

POLL_S = 0.05
# Error events of open streams get out before the process is gone.
FLUSH_S = 0.3
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Engine(Protocol):
    """The part of vLLM's AsyncLLM that is watched."""

    @property
    def errored(self) -> bool:
        """Whether the engine is beyond repair."""

    def get_num_unfinished_requests(self) -> int:
        """Requests that wait or run."""


class Stall:
    """Whether an engine hangs: work is waiting, and no step has been made for `limit_s`. Pure; time is passed in."""

    def __init__(self, limit_s: float, now: float) -> None:
        self.limit_s = limit_s
        self._steps = -1
        self._since = now

    def hangs(self, steps: int, unfinished: int, now: float) -> bool:
        """True when `steps` has stood still for the limit while requests were unfinished."""
        if steps != self._steps or unfinished == 0:
            self._steps, self._since = steps, now
        return now - self._since >= self.limit_s


async def watch(engine: Engine, steps: Callable[[], int], stall_s: float) -> None:
    """Returns never: ends this process when the engine has died or hangs.

    HAProxy then sees refused connections and goes elsewhere, instead of a replica that fails fast and is therefore
    preferred by `leastconn`.
    """
    stall = Stall(stall_s, time.monotonic())
    while True:
        if engine.errored:
            reason = "the engine has died"
            break
        if stall.hangs(steps(), engine.get_num_unfinished_requests(), time.monotonic()):
            reason = f"the engine made no step for {stall_s:g} s with requests waiting"
            break
        await asyncio.sleep(POLL_S)
    logger.error("Leaving: %s", reason)
    await asyncio.sleep(FLUSH_S)
    end_process_tree()


def end_process_tree() -> None:
    """Kills the children of this process (a stopped one would never notice that its parent is gone), and exits.

    Python's resource trackers are spared: they end by themselves, and first remove the shared memory of the killed.
    """
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if not any("resource_tracker" in word for word in child.cmdline()):
                child.kill()
    os._exit(EXIT_CODE)
