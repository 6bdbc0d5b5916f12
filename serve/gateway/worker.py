"""One gateway worker: everything that its requests share, and the sweep that ends what takes too long."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from serve.errors import LocalError, UpstreamTimeout
from serve.fleet import Fleet
from serve.gateway.auth import Keyring, KeysFile, load_keys
from serve.gateway.book import Book
from serve.gateway.console.recent import Recent
from serve.gateway.decision_log import DecisionFile
from serve.gateway.exchange import Exchange
from serve.gateway.health import HealthWatch
from serve.gateway.instruments import Instruments
from serve.gateway.instruments.tally import Tally
from serve.gateway.journal import Journal
from serve.gateway.learning import Learning
from serve.gateway.ledger.opening import open_ledger
from serve.gateway.plan_reader import PlanReader
from serve.gateway.prefixes import Prefixes
from serve.gateway.reply_check import ReplyCheck
from serve.gateway.retry import RetryBudget
from serve.gateway.shifts import ShiftWatch
from serve.gateway.state_file import NAME as LEARNT
from serve.gateway.trace_spans import Target
from serve.gateway.traces import tracing
from serve.gateway.upstream import Upstream
from serve.gateway.waking import Waking
from serve.routing import prepare

SWEEP_S = 0.25
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def keys_of(fleet: Fleet, directory: Path) -> KeysFile | None:
    """The keys and tenants that the description names, None when it names no file.

    Raises LocalError when the gateway would listen to the world without any.
    """
    gateway = fleet.gateway
    if gateway.keys_file is not None:
        return load_keys(directory / gateway.keys_file)
    if gateway.host not in LOOPBACK:
        raise LocalError(
            f"gateway.host is {gateway.host}, and no API keys are configured: name a gateway.keys_file "
            f"(`parlance keys add`), or listen on 127.0.0.1"
        )
    return None


class Worker:
    """State of one gateway process. Made inside the event loop."""

    def __init__(
        self,
        fleet: Fleet,
        keys: KeysFile | None,
        journal: Journal,
        state_dir: Path | None = None,
        shared_dir: Path | None = None,
    ) -> None:
        """`state_dir` is where it keeps what it learns and the decision log; None: nowhere. `shared_dir` is what all
        workers of a gateway keep together; the same where there is one. Raises LocalError when a directory cannot be
        written to."""
        self.fleet = fleet
        self.settings = fleet.gateway
        self.loop = asyncio.get_running_loop()
        self.started_at = datetime.now(UTC)
        self.keyring = Keyring(keys)
        self.upstreams = {model.id: Upstream(model, fleet, self.settings.timeouts) for model in fleet.models}
        self.live = {model_id: upstream.state for model_id, upstream in self.upstreams.items()}
        self.instruments = Instruments(fleet, keys.names() if keys is not None else ())
        logged = state_dir is not None and self.settings.decision_log.enabled
        self.decisions = DecisionFile(state_dir, self.settings.decision_log) if state_dir and logged else None
        one_tenant = keys is None or len({key.tenant for key in keys.keys}) < 2
        tiny = [model.id for model in fleet.models if model.engine is not None and model.engine.weights == "tiny"]
        self.replies = ReplyCheck(self.live, one_tenant, speechless=tiny)
        self.prefixes = Prefixes(self.settings.prefixes, fleet.models)
        self.learning = Learning(
            fleet,
            self.live,
            self.instruments,
            alone=one_tenant or self.settings.trusted_tenants,
            path=state_dir / LEARNT if state_dir is not None else None,
        )
        self.journal = journal
        self.shared_dir = shared_dir
        self.ledger = open_ledger(self.settings, keys, shared_dir, self.instruments)
        self.recent = Recent()
        self.traces = tracing(self.settings.traces, {name: _target(u) for name, u in self.upstreams.items()})
        self.book = Book(
            self.instruments,
            Tally(self.instruments, fleet),
            journal,
            self.decisions,
            self.replies,
            self.learning,
            self.recent,
            self.traces,
        )
        self.retries = RetryBudget(self.settings.retry)
        self.waking = Waking(self.upstreams, fleet.reference, self.settings.waking, self.instruments)
        self.health = HealthWatch(list(self.upstreams.values()), self.settings.health, self.waking.woke)
        self.plan = PlanReader(self.settings.plan_url)
        self.shifts = ShiftWatch(fleet, self.plan, self.instruments)
        self.active: set[Exchange] = set()
        self.in_flight = 0
        self.listening = False  # set by the server: whoever reads `ready` must find a port that answers
        self.draining = False
        self.connections: Callable[[], int] = lambda: 0  # set by the server, which alone knows
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to probe engines and to look for exchanges that are too slow."""
        prepare(self.fleet)  # a second of reading the language model, which no client shall wait for
        self.health.start()
        self.shifts.start()
        self.learning.start()
        self.ledger.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep")

    async def stop(self, limit_s: float = 1.0) -> None:
        """Ends the background work and writes what is pending. A collector of traces has `limit_s` to take the last."""
        await self.health.stop()
        await self.shifts.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for upstream in self.upstreams.values():
            upstream.pool.close()
        self.book.flush()
        await self.journal.close()
        await self.learning.stop()
        await self.ledger.stop()
        if self.decisions is not None:
            self.decisions.close()
        if self.traces is not None:
            await self.traces.stop(limit_s)

    def drain(self) -> None:
        """The worker is about to stop: readiness says no, nothing is held any more, open answers go on."""
        self.draining = True
        self.waking.close()

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: it listens, some model answers, and it is not about to stop. Where all
        are down and some of them only sleep, too: a gateway that got no requests could wake none."""
        upstreams = self.upstreams.values()
        some = any(u.state.healthy for u in upstreams)
        if not some and all(u.probed_at for u in upstreams if u.probed):
            some = any(u.model.sleeps for u in upstreams)
        return self.listening and not self.draining and some

    @staticmethod
    @lru_cache(maxsize=4096)
    def cache_salt(tenant: str) -> str:
        """What separates this tenant's prefix cache from every other's, and tells an engine nothing about the name."""
        return hashlib.sha256(f"parlance-cache\0{tenant}".encode()).hexdigest()[:24]

    async def _sweep(self) -> None:
        """Ends exchanges that have been silent for too long, and looks how long requests wait: one pass a quarter
        second instead of a timer a read."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self.loop.time()
            for upstream in self.upstreams.values():
                upstream.look_at_queue(now)
            for exchange in tuple(self.active):
                connection = exchange.connection
                if connection is not None and connection.paused:
                    exchange.last = now  # it waits for the client, whom the write time-out watches
                elif now - exchange.last > exchange.limit_s:
                    exchange.fail(UpstreamTimeout(f"the engine said nothing for {exchange.limit_s:g} s"))


def _target(upstream: Upstream) -> Target:
    origin = upstream.origin
    return Target(origin.host, origin.port, upstream.remote_name, upstream.probed)
