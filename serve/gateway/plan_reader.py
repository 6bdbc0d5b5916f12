"""The autoscaler's plan as this gateway knows it: asked for at most once a second, whoever wants it.

The operator's page shows it, and routing takes its shifts from it (`serve.gateway.shifts`).
"""

from __future__ import annotations

import asyncio
from time import time
from typing import Any, NamedTuple

import msgspec

from serve.errors import ParlanceError, UpstreamFailed, UpstreamTimeout
from serve.gateway.client import Origin, Pool
from serve.gateway.reading import read_all

TIMEOUT_S = 2.0
MAX_BYTES = 1024 * 1024  # a plan is about 2 KB a model
KEEP_S = 1.0

_plan = msgspec.json.Decoder(dict[str, Any])


class LastPlan(NamedTuple):
    """The plan that was read last (None: none ever was), when (seconds since the epoch, and the loop's time), and why
    that is not the plan of this moment; None: it is."""

    plan: dict[str, Any] | None
    read_at: float | None
    read: float
    problem: str | None


class PlanReader:
    """Reads the plan of one autoscaler, and remembers the last one that it had."""

    def __init__(self, url: str | None) -> None:
        """`url` is None where no autoscaler is configured: there is no plan then, and no problem."""
        self.url = url
        self._reading = asyncio.Lock()
        self._asked = float("-inf")
        self._last = LastPlan(None, None, float("-inf"), None)

    async def last(self) -> LastPlan:
        """The plan of the last second, or what is known instead. Takes TIMEOUT_S at most."""
        if self.url is not None:
            async with self._reading:  # those who ask meanwhile get the same answer
                loop = asyncio.get_running_loop()
                if loop.time() - self._asked >= KEEP_S:
                    await self._read(self.url)
                    self._asked = loop.time()
        return self._last

    async def _read(self, url: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                plan = _plan.decode(await _get(url))
        except TimeoutError:
            self._failed(f"no answer within {TIMEOUT_S:g} s")
        except UpstreamFailed as error:
            self._failed(error.message)
        except ParlanceError:
            self._failed("nobody answers there")
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            self._failed("what answers there is not a JSON object")
        else:
            self._last = LastPlan(plan, time(), asyncio.get_running_loop().time(), None)

    def _failed(self, problem: str) -> None:
        self._last = self._last._replace(problem=problem)


async def _get(url: str) -> bytes:
    """The body at a URL. Raises UpstreamFailed with what is wrong with it, Unavailable when nobody answers."""
    origin = Origin.of(url)
    request = b"GET %s HTTP/1.1\r\nhost: %s\r\nuser-agent: parlance\r\naccept: application/json\r\n\r\n" % (
        (origin.prefix or "/").encode(),
        origin.host_header,
    )
    exchange = await Pool(origin, TIMEOUT_S, max_idle=0).send(request, TIMEOUT_S)
    try:
        await exchange.start()
        if exchange.status != 200:
            raise UpstreamFailed(f"the autoscaler answered {exchange.status}")
        return await read_all(exchange, MAX_BYTES)
    finally:
        exchange.fail(UpstreamTimeout("given up"))
