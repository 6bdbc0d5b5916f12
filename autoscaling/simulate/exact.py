"""One model's replicas, request by request: each an engine that is stepped, behind a balancer."""

from __future__ import annotations

from collections import deque
from random import Random

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.engine import Engine
from autoscaling.simulate.pool import Batch, Tally
from autoscaling.simulate.quantiles import Quantiles
from autoscaling.simulate.request import Progress, Request
from autoscaling.simulate.steps import Steps
from serve.fleet.slo import Slo


class ExactPool:
    """A `Pool` that answers every request by itself. `roof` and `kv_tokens` are of one replica.

    A request goes to the replica with the fewest open ones at that moment, ties in turn (HAProxy's `leastconn`), so
    that a fresh replica is sent everything until it has as much as the others. The newest replica is removed first, as
    Ray Serve does where nodes have equally many. Which one dies is `random`'s choice.
    """

    def __init__(
        self, slo: Slo, roof: Roofline, kv_tokens: int, at_s: float = 0.0, random: Random | None = None
    ) -> None:
        """Without replicas, at the time `at_s`."""
        self._slo, self._kv, self._now = slo, kv_tokens, at_s
        self._steps = Steps(roof)
        self._random = random or Random(1)  # noqa: S311 - a simulation
        self._progress = Progress(slo.itl_s)
        self._engines: list[Engine] = []  # that serve, oldest first
        self._turns: list[Engine] = []  # the same, the one that was chosen last at the end
        self._drains: list[Engine] = []
        self._held: deque[Request] = deque()  # while none serves
        self._ttft, self._itl = Quantiles(), Quantiles()
        self._tally = Tally()

    @property
    def serving(self) -> int:
        """Replicas that take new requests."""
        return len(self._engines)

    @property
    def draining(self) -> int:
        """Replicas that take none, and still have some to end."""
        return len(self._drains)

    @property
    def tally(self) -> Tally:
        """Sums and state at the last moment; changes with every tick. Requests that no replica has had yet wait too."""
        return self._tally

    @property
    def preemptions(self) -> int:
        """How often a sequence gave its KV cache to an older one."""
        return self._progress.preemptions

    def add(self) -> None:
        """One more replica serves from now on; it is given what waited for one."""
        engine = Engine(self._steps, self._kv, self._now, self._progress)
        self._engines.append(engine)
        self._turns.append(engine)
        while self._held:
            self._balance(self._held.popleft(), self._now)

    def remove(self) -> None:
        """The newest takes no more requests. Raises ValueError: none serves."""
        engine = self._taken(-1)
        if engine.open:
            self._drains.append(engine)

    def lose(self) -> None:
        """One dies. The gateway sends those of its requests that had no token yet to another; the rest are lost.

        Raises ValueError: none serves.
        """
        engine = self._taken(self._random.randrange(len(self._engines)) if self._engines else -1)
        for request in sorted(engine.abandon(), key=lambda one: one.arrival.at_s):
            if request.begun:
                self._tally.lost += 1
            else:
                self._balance(request, self._now)

    def advance(self, until_s: float, batch: Batch) -> None:
        """Runs until then; every request of the batch comes at its own time.

        Raises ValueError: a batch without its requests, or with one that comes later.
        """
        if batch.count > 0 and not batch.arrivals:
            raise ValueError(f"{batch.count:g} requests and no arrivals: a trace of windows has to be drawn first")
        for arrival in batch.arrivals:
            if arrival.at_s > until_s:
                raise ValueError(f"a request that comes at {arrival.at_s:g} s in a tick that ends at {until_s:g} s")
            self._now = max(self._now, arrival.at_s)
            self._tally.arrived += 1
            self._balance(Request(arrival), self._now)
        self._now = max(self._now, until_s)
        for engine in (*self._engines, *self._drains):
            engine.until(self._now)
        self._drains = [engine for engine in self._drains if engine.open]
        self._count()

    def ttft_quantile(self, quantile: float) -> float:
        """Of all first tokens so far."""
        return self._ttft.quantile(quantile)

    def itl_quantile(self, quantile: float) -> float:
        """Of all finished answers."""
        return self._itl.quantile(quantile)

    def _taken(self, index: int) -> Engine:
        if not self._engines:
            raise ValueError("no replica serves, so that none can be removed or die")
        engine = self._engines.pop(index)
        self._turns.remove(engine)
        return engine

    def _balance(self, request: Request, at_s: float) -> None:
        """Gives a request to the replica with the fewest open ones. One that is too long for a replica is lost at once:
        the engine refuses it."""
        turns = self._turns
        if not turns:
            self._held.append(request)
            return
        chosen, least = 0, -1
        for index, engine in enumerate(turns):
            if engine.quiet_s < at_s:
                engine.until(at_s)
            if least < 0 or engine.open < least:
                chosen, least = index, engine.open
        engine = turns[chosen]
        if request.prompt >= engine.context_tokens:
            self._tally.lost += 1
            return
        engine.until(at_s)
        engine.submit(request, at_s)
        turns.append(turns.pop(chosen))

    def _count(self) -> None:
        """Takes what the engines did since the last moment into the sums, and looks at their state."""
        tally, progress = self._tally, self._progress
        ttft_s, itl_s = self._slo.ttft_s, self._slo.itl_s
        for request in progress.answered:
            tally.answered += 1
            tally.ttft_within += request.ttft_s <= ttft_s
            self._ttft.add(request.ttft_s)
        for request in progress.ended:
            within = request.itl_s <= itl_s
            tally.finished += 1
            tally.itl_within += within
            tally.met += within and request.ttft_s <= ttft_s
            tally.prompt += request.prompt
            tally.output += request.output
            self._itl.add(request.itl_s)
        progress.answered.clear()
        progress.ended.clear()
        tally.worked_prompt, tally.worked_output = progress.read, progress.wrote
        tally.token_gaps, tally.gaps_within = progress.gaps, progress.gaps_within
        busy = (*self._engines, *self._drains)
        tally.running = sum(engine.running for engine in busy)
        tally.waiting = sum(engine.waiting for engine in busy) + len(self._held)
        tally.kv_use = sum(engine.kv_use for engine in self._engines) / len(self._engines) if self._engines else 0.0
