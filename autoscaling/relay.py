"""The leader's plan, told by a process that follows: whoever asks any of several for /plan gets the one in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from autoscaling.fetch import Unreachable, call

# Below what a gateway waits for a plan (2 s), so that it reads what is wrong in place of nothing.
TIMEOUT_S = 1.5
# Where a process tells its own plan only: a follower that is asked there does not ask a follower in turn.
OWN = "/plan/own"

Fetch = Callable[[str], tuple[int, bytes]]


def _fetch(url: str) -> tuple[int, bytes]:
    return call(url, timeout_s=TIMEOUT_S)


class Relay:
    """Asks the leader for its plan; those who ask meanwhile get the same answer. On one event loop."""

    def __init__(self, leader: Callable[[], str | None], fetch: Fetch = _fetch) -> None:
        """`leader` gives the URL where the leader tells its own plan, None where none is known; `fetch` blocks for
        status and body, and raises Unreachable."""
        self._leader, self._fetch = leader, fetch
        self._asking: asyncio.Task[bytes | None] | None = None

    async def plan(self) -> bytes | None:
        """The leader's /plan as it stands there; None where nobody is known to lead. Raises Unreachable with what is
        wrong, when the leader does not answer with a plan of its own."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="relay")
        return await asyncio.shield(self._asking)  # who hangs up does not take the answer from the others

    async def _ask(self) -> bytes | None:
        url = self._leader()
        if url is None:
            return None
        status, body = await asyncio.to_thread(self._fetch, url)
        if status != 200:
            raise Unreachable(f"{url}: status {status}")
        try:
            leads = json.loads(body)["leader"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise Unreachable(f"{url}: what answers there is no plan") from error
        if leads is not True:
            raise Unreachable(f"{url}: the process there leads no more, or not yet")
        return body
