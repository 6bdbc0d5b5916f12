"""The autoscaler's plan as the operator's page shows it: asked for at most once a second, whoever looks."""

from __future__ import annotations

import asyncio
from time import time
from typing import Any

import msgspec

from serve.errors import ParlanceError, UpstreamFailed, UpstreamTimeout
from serve.gateway.client import Origin, Pool
from serve.gateway.reading import read_all

TIMEOUT_S = 2.0
MAX_BYTES = 1024 * 1024  # a plan is about 2 KB a model
KEEP_S = 1.0

_plan = msgspec.json.Decoder(dict[str, Any])


class PlanReader:
    """Reads the plan of one autoscaler, and remembers the last one that it had."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._reading = asyncio.Lock()
        self._asked = float("-inf")
        self._plan: dict[str, Any] | None = None
        self._read_at: float | None = None
        self._problem: str | None = None

    async def view(self) -> dict[str, Any]:
        """`url` (None: no autoscaler is configured), `plan` as it was last read, `read_at` (seconds since the
        epoch), and `problem`: why that is not the plan of this moment."""
        if self._url is not None:
            async with self._reading:  # those who ask meanwhile get the same answer
                loop = asyncio.get_running_loop()
                if loop.time() - self._asked >= KEEP_S:
                    await self._read(self._url)
                    self._asked = loop.time()
        return {"url": self._url, "plan": self._plan, "read_at": self._read_at, "problem": self._problem}

    async def _read(self, url: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._plan = _plan.decode(await _get(url))
        except TimeoutError:
            self._problem = f"no answer within {TIMEOUT_S:g} s"
        except UpstreamFailed as error:
            self._problem = error.message
        except ParlanceError:
            self._problem = "nobody answers there"
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            self._problem = "what answers there is not a JSON object"
        else:
            self._problem, self._read_at = None, time()


async def _get(url: str) -> bytes:
    """The body at a URL. Raises UpstreamFailed with what is wrong with it, Unavailable when nobody answers."""
    origin = Origin.of(url)
    request = b"GET %s HTTP/1.1\r\nhost: %s\r\nuser-agent: parlance-console\r\naccept: application/json\r\n\r\n" % (
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
