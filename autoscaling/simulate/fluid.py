"""One model's replicas as a fluid: fractions of requests flow through a queue and a batch, tick by tick.

Within a tick the batch is in a steady state: with a admissions a second and a lifetime tau = ITL x output tokens,

    dR/dt = a - R / tau         R: requests in the batch, over all serving replicas

whose solution is exact for constant a. Admissions are what arrives and what waits, as far as there is room (slots that
the KV cache leaves) and as prompts can be read (the token budget of a step). ITL follows from batch and prefill by the
same roofline that the exact world steps through. Waiting is first come, first served: every tick's arrivals are a cohort
whose wait grows evenly from its first to its last request; below saturation prompts wait for one another as in a G/G/1
queue (Kingman 1961), with an exponential tail.

It stands for the exact world where many requests share a tick; tests hold the two together.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.pool import Batch, Tally
from autoscaling.simulate.quantiles import Quantiles
from autoscaling.simulate.traces import PROMPT_CV
from serve.fleet.slo import Slo

# A drained replica has gone when less than this is left in it.
EMPTY = 0.5
# Step times are remembered for sizes that differ by less than this.
GRAIN = 0.02
# Rounds of the fixed point between admissions, prefill and ITL; one tick carries the last one's on.
ROUNDS = 2


@dataclass(slots=True)
class _Cohort:
    """Requests of one tick that wait: `begin` and `end` of their arrivals."""

    begin: float
    end: float
    count: float
    prompt: float
    output: float


@dataclass(slots=True)
class _Drain:
    requests: float
    good: float  # share whose first token was in time


class FluidPool:
    """`roof` and `kv_tokens` are of one replica."""

    def __init__(self, slo: Slo, roof: Roofline, kv_tokens: int, at_s: float = 0.0) -> None:
        """Without replicas, at the time `at_s`."""
        self._slo, self._roof, self._kv = slo, roof, kv_tokens
        self._sequences = float(roof.layout.sequences)
        self._budget = float(roof.layout.batched_tokens)
        self._now = at_s
        self._serving = 0
        self._queue: deque[_Cohort] = deque()
        self._batch = 0.0  # requests in the batches of serving replicas
        self._good = 1.0  # share of them whose first token was in time
        self._prompt, self._output = 1.0, 1.0  # their mean lengths
        self._itl = roof.step_s(1, 1)
        self._felt = self._itl  # ITL over the lifetime of those that end now
        self._drains: list[_Drain] = []
        self._steps: dict[tuple[int, int, int, int], float] = {}
        self._ttft, self._itls = Quantiles(), Quantiles()
        self._tally = Tally()

    @property
    def serving(self) -> int:
        """Replicas that take new requests."""
        return self._serving

    @property
    def draining(self) -> int:
        """Replicas that have some to end."""
        return len(self._drains)

    @property
    def tally(self) -> Tally:
        """Sums and state; changes with every tick."""
        return self._tally

    def add(self) -> None:
        """One more shares the work from now on."""
        self._serving += 1

    def remove(self) -> None:
        """One takes its share of the batch along and ends it."""
        share = self._batch / self._serving
        self._serving -= 1
        self._batch -= share
        if share > EMPTY:
            self._drains.append(_Drain(share, self._good))
        else:
            self._finish(share, self._good, self._itl, 0.0)

    def lose(self) -> None:
        """One dies with its share of the batch."""
        share = self._batch / self._serving
        self._serving -= 1
        self._batch -= share
        self._tally.lost += share

    def ttft_quantile(self, quantile: float) -> float:
        """Of all first tokens."""
        return self._ttft.quantile(quantile)

    def itl_quantile(self, quantile: float) -> float:
        """Of all finished answers."""
        return self._itls.quantile(quantile)

    def advance(self, until_s: float, batch: Batch) -> None:
        """One tick."""
        begin, seconds = self._now, until_s - self._now
        tally = self._tally
        tally.arrived += batch.count
        if batch.count > 0:
            self._queue.append(_Cohort(begin, until_s, batch.count, batch.prompt, batch.output))
            tally.waiting += batch.count
        if self._serving:
            self._serve(begin, seconds, batch)
        self._drain(seconds)
        self._now = until_s
        tally.running = self._batch + sum(drain.requests for drain in self._drains)
        context = self._prompt + self._output / 2
        tally.kv_use = min(self._batch * context / (self._kv * self._serving), 1.0) if self._serving else 0.0

    def _serve(self, begin: float, seconds: float, batch: Batch) -> None:
        tally, replicas = self._tally, self._serving
        waiting = tally.waiting
        if not waiting and self._batch < 1e-6:
            self._batch = 0.0
            return
        prompt, output = self._next_lengths()
        before = self._batch
        itl = self._itl
        for _ in range(ROUNDS):
            tau = itl * self._output
            kept = math.exp(-seconds / tau)
            context = self._prompt + self._output / 2
            slots = replicas * min(self._kv / context, self._sequences)
            room = (slots - before * kept) / (tau * (1 - kept))
            each = before / replicas
            chunk = max(self._budget - each, 64.0)
            reads = replicas * chunk / (self._step(each, context, chunk, prompt) * prompt)
            rate = max(min(waiting / seconds, room, reads), 0.0)
            after = before * kept + rate * tau * (1 - kept)
            mean = max(rate * tau + (before - rate * tau) * (1 - kept) * tau / seconds, 0.0) / replicas
            read = min(rate * prompt * itl / replicas, chunk)  # prompt tokens a step
            itl += 0.7 * (self._step(mean, context, read, prompt) - itl)
        self._itl = itl
        admitted = rate * seconds
        finished = max(before + admitted - after, 0.0)
        self._finish(finished, self._good, itl, seconds)
        tally.worked_prompt += admitted * prompt
        tally.worked_output += mean * replicas * seconds / itl
        self._gaps(mean, replicas, rate, prompt, context, seconds)
        good = self._admit(begin, seconds, admitted, batch, reads, prompt, mean, context)
        self._batch = max(after, 0.0)
        if admitted > 0:
            fresh = min(admitted / (before + admitted), 1.0)
            self._good += fresh * (good - self._good)
            self._prompt += fresh * (prompt - self._prompt)
            self._output += fresh * (output - self._output)

    def _next_lengths(self) -> tuple[float, float]:
        """Mean lengths of those that are admitted next."""
        if not self._queue:
            return self._prompt, self._output
        head = self._queue[0]
        return head.prompt, head.output

    def _finish(self, finished: float, good: float, itl: float, seconds: float) -> None:
        """So many ended; what they felt is the ITL of their lifetime."""
        blend = 1 - math.exp(-seconds / max(self._felt * self._output, 1e-3))
        self._felt += blend * (itl - self._felt)
        within = self._felt <= self._slo.itl_s
        tally = self._tally
        tally.finished += finished
        tally.prompt += finished * self._prompt
        tally.output += finished * self._output
        tally.itl_within += finished * within
        tally.met += finished * good * within
        self._itls.add(self._felt, finished)

    def _gaps(self, mean: float, replicas: int, rate: float, prompt: float, context: float, seconds: float) -> None:
        """Times between tokens: those of steps that read a prompt, and those of steps that do not."""
        tokens = mean * replicas * seconds / self._itl
        prompts = rate * self._itl / replicas  # that a step begins
        busy = 1 - math.exp(-prompts)
        read = min(prompts * prompt / busy, self._budget) if busy > 0 else 0.0
        late = self._slo.itl_s
        within = (1 - busy) * (self._step(mean, context, 0.0, prompt) <= late)
        within += busy * (self._step(mean, context, read, prompt) <= late)
        self._tally.token_gaps += tokens
        self._tally.gaps_within += tokens * within

    def _admit(
        self,
        begin: float,
        seconds: float,
        admitted: float,
        batch: Batch,
        reads: float,
        prompt: float,
        mean: float,
        context: float,
    ) -> float:
        """Takes so many from the queue, evenly over the tick; the share whose first token is in time."""
        alone = self._itl / 2 + self._step(mean, context, min(prompt, self._budget), prompt) * max(
            prompt / self._budget, 1.0
        )
        queueing = self._queueing(admitted / seconds, batch.cv, reads)
        left, good, at = admitted, 0.0, begin
        slack = self._slo.ttft_s - alone
        tally = self._tally
        while left > 1e-9 and self._queue:
            head = self._queue[0]
            taken = min(left, head.count)
            share = taken / head.count
            span = (head.end - head.begin) * share
            until = at + seconds * taken / admitted
            first, last = max(at - head.begin, 0.0), max(until - head.begin - span, 0.0)
            inside = _share_below(first, last, slack)
            if inside > 0 and queueing > 0:
                inside *= 1 - math.exp(-max(slack - min(first, last), 0.0) / queueing)
            good += taken * inside
            self._ttft.add(alone + queueing + (first + last) / 2, taken)
            left -= taken
            at = until
            head.begin += span
            head.count -= taken
            if head.count <= 1e-9:
                self._queue.popleft()
        tally.waiting = sum(cohort.count for cohort in self._queue) if self._queue else 0.0
        tally.answered += admitted
        tally.ttft_within += good
        return good / admitted if admitted > 0 else 1.0

    def _queueing(self, rate: float, cv: float, reads: float) -> float:
        """Mean wait for the prompts before, in seconds: Kingman's formula for one of the replicas, among which a
        balancer spreads arrivals more evenly than they come."""
        if rate <= 0 or reads <= 0:
            return 0.0
        use = min(rate / reads, 0.98)
        arrivals = 1 + (cv * cv - 1) / self._serving
        service = self._serving / reads
        return service * use / (1 - use) * (max(arrivals, 0.0) + PROMPT_CV * PROMPT_CV) / 2

    def _drain(self, seconds: float) -> None:
        """Batches of removed replicas end at the pace of the others."""
        if not self._drains:
            return
        kept = math.exp(-seconds / (self._itl * self._output))
        for drain in self._drains:
            ended = drain.requests * (1 - kept) if drain.requests * kept > EMPTY else drain.requests
            drain.requests -= ended
            self._finish(ended, drain.good, self._itl, 0.0)
            self._tally.worked_output += ended * self._output / 2
        self._drains = [drain for drain in self._drains if drain.requests > 0]

    def _step(self, decoding: float, context: float, prefill: float, prompt: float) -> float:
        """The roofline's step, remembered."""
        key = (_bin(decoding), _bin(context), _bin(prefill), _bin(prompt))
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = self._roof.step_s(decoding, context, prefill, prompt)
        return found


def _bin(size: float) -> int:
    """Sizes that differ by less than GRAIN are one."""
    return int(math.log(size + 1.0) / GRAIN)


def _share_below(first: float, last: float, limit: float) -> float:
    """Of what lies evenly between two ends, the share below a limit."""
    low, high = (first, last) if first <= last else (last, first)
    if high <= limit:
        return 1.0
    if low >= limit:
        return 0.0
    return (limit - low) / (high - low)
