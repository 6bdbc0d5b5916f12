"""Watches the engines: one probe a model and interval, through the same HAProxy that requests take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import time

from serve.errors import ParlanceError, UpstreamTimeout
from serve.fleet.gateway import Health
from serve.gateway.upstream import Upstream

log = logging.getLogger("parlance.health")


class HealthWatch:
    """Keeps `upstream.state.healthy` true to what the engines say."""

    def __init__(self, upstreams: list[Upstream], settings: Health, answered: Callable[[str], None]) -> None:
        """`answered` is told a model's id at every probe that finds it well."""
        self._upstreams = [u for u in upstreams if u.probed]
        self._settings = settings
        self._answered = answered
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to probe; the first probes are sent at once."""
        self._tasks = [asyncio.create_task(self._watch(u), name=f"health {u.model.id}") for u in self._upstreams]

    async def stop(self) -> None:
        """Ends the probes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, upstream: Upstream) -> None:
        failures = 0
        while True:
            problem = await self._probe(upstream)
            upstream.probed_at = time()
            if problem is None:
                failures = 0
                if not upstream.state.healthy:
                    log.info("%s is healthy", upstream.model.id)
                    upstream.came_up()
                self._answered(upstream.model.id)
            else:
                failures += 1
                if failures >= self._settings.failures and (upstream.state.healthy or not upstream.state.reason):
                    log.warning("%s is unhealthy: %s", upstream.model.id, problem)
                if failures >= self._settings.failures or not upstream.state.healthy:
                    if upstream.state.healthy:
                        upstream.went_down(problem)
                    upstream.state.reason = problem
            await asyncio.sleep(self._settings.interval_s)

    async def _probe(self, upstream: Upstream) -> str | None:
        """What is wrong with the engine, None when it is well."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                exchange = await upstream.pool.send(upstream.health_request, self._settings.timeout_s)
                try:
                    await exchange.start()
                    while await exchange.read():
                        pass
                finally:
                    exchange.fail(UpstreamTimeout("probe given up"))
        except TimeoutError:
            return f"no answer to a health probe within {self._settings.timeout_s:g} s"
        except ParlanceError as error:
            return error.message
        return None if exchange.status == 200 else f"health probe answered {exchange.status}"
