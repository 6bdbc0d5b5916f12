"""One model's replicas as a fluid: fractions of requests flow through a queue and a batch, tick by tick.

Within a tick the batch is in a steady state: with a admissions a second and a lifetime tau = ITL x output tokens,

    dR/dt = a - R / tau         R: requests in the batch, over all serving replicas

whose solution is exact for constant a. Admissions are what arrives and what waits, as far as there is room (slots that
the KV cache leaves) and as prompts can be read (the token budget of a step). ITL is the mean over steps that read
prompts and steps that do not, by the same roofline that the exact world steps through. Lengths scatter, and what comes
of that is counted (`scatter`). Waiting is first come, first served: every tick's arrivals are a cohort whose wait grows
evenly from its first to its last request; below saturation prompts wait for one another as in a G/G/1 queue (Kingman
1961), with an exponential tail.

It stands for the exact world where many requests share a tick; tests hold the two together. A replica that is added
under a queue takes its share of it at once here; in the exact world the queue stays with the replicas that have it, and
the new one is sent everything that comes.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from autoscaling.capacity.lengths import OF_TOKENS, PROMPT_CV, context, itl_spread
from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate import scatter
from autoscaling.simulate.blocks import BLOCK_TOKENS
from autoscaling.simulate.pool import Batch, Tally
from autoscaling.simulate.quantiles import Quantiles
from autoscaling.simulate.steps import Steps
from serve.fleet.slo import Slo

# A drained replica has gone when less than this is left in it.
EMPTY = 0.5
# A cache is full when this much of its slots is taken and a queue stands.
FULL = 0.97
# A full cache makes room for a token by preempting the youngest sequence, which is read again: so many tokens for each
# that is written, fewer where prompts are longer than answers. The exact world does 0.3-0.7 at up to 1.3 prompt tokens
# an answer token, and none at 13.
READ_AGAIN = 0.5
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
        self._steps = Steps(roof)
        self._spread = 0.0  # of single requests' ITL: standard deviation of its logarithm
        self._felt_spread = 0.0
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
        held = context(self._prompt, self._output) + BLOCK_TOKENS / 2
        tally.kv_use = min(self._batch * held / (self._kv * self._serving), 1.0) if self._serving else 0.0

    def _serve(self, begin: float, seconds: float, batch: Batch) -> None:
        tally, replicas = self._tally, self._serving
        waiting = tally.waiting
        if not waiting and self._batch < 1e-6:
            self._batch = 0.0
            return
        prompt, output = self._next_lengths()
        before = self._batch
        itl = self._itl
        held = context(self._prompt, self._output)
        slots = replicas * min(self._kv / (held + BLOCK_TOKENS / 2), self._sequences)
        each = before / replicas
        chunk = max(self._budget - each, 64.0)
        long = prompt * OF_TOKENS
        reads = replicas * chunk / (self._step(each, held, chunk, long) * prompt)
        for _ in range(ROUNDS):
            tau = itl * self._output
            kept = math.exp(-seconds / tau)
            room = (slots - before * kept) / (tau * (1 - kept))
            rate = max(min(waiting / seconds, room, reads), 0.0)
            after = before * kept + rate * tau * (1 - kept)
            mean = max(rate * tau + (before - rate * tau) * (1 - kept) * tau / seconds, 0.0) / replicas
            full = after > FULL * slots and waiting > rate * seconds
            again = READ_AGAIN * min(self._output / prompt, 1.0) * mean * full
            # Steps that read prompts and steps that do not: while weights are read a few tokens more cost nothing, so
            # that the mean of steps is longer than the step of the mean.
            prompts = rate * itl / replicas
            busy = -math.expm1(-prompts)
            read = prompts * prompt / busy if busy > 0 else 0.0
            idle = self._step(mean, held, min(again, chunk), long)
            longer = self._step(mean, held, min(again + read, chunk), long) - idle
            itl += 0.7 * (idle + busy * longer - itl)
        self._itl = itl
        self._spread = itl_spread(busy, longer, self._output, itl)
        admitted = rate * seconds
        finished = max(before + admitted - after, 0.0)
        self._finish(finished, self._good, itl, seconds)
        tokens = mean * replicas * seconds / itl
        tally.worked_prompt += admitted * prompt + again * replicas * seconds / itl
        tally.worked_output += tokens
        self._gaps(tokens, busy, mean, held, read, prompt)
        good = self._admit(begin, seconds, admitted, batch, reads, prompt, mean, held)
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
        self._felt_spread += blend * (self._spread - self._felt_spread)
        within = scatter.share_within(self._slo.itl_s, self._felt, self._felt_spread)
        tally = self._tally
        tally.finished += finished
        tally.prompt += finished * self._prompt
        tally.output += finished * self._output
        tally.itl_within += finished * within
        tally.met += finished * good * within
        for share, deviations in scatter.SLICES:
            self._itls.add(self._felt * math.exp(self._felt_spread * deviations), finished * share)

    def _gaps(self, tokens: float, busy: float, mean: float, context: float, read: float, prompt: float) -> None:
        """Times between tokens: those of steps that read a prompt, and those of steps that do not."""
        late = self._slo.itl_s
        within = (1 - busy) * (self._step(mean, context, 0.0, prompt) <= late)
        for share, factor in scatter.PROMPTS if busy > 1e-3 else ():
            step = self._step(mean, context, min(read * factor, self._budget), prompt * factor)
            within += busy * share * (step <= late)
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
        waits, wait = self._queueing(admitted / seconds, batch.cv, reads, seconds)
        # TTFT of prompts that wait for no other: the step that goes on, and their own.
        alone = [
            self._itl / 2
            + self._step(mean, context, min(prompt * factor, self._budget), prompt * factor)
            * max(prompt * factor / self._budget, 1.0)
            for _, factor in scatter.PROMPTS
        ]
        left, good, at = admitted, 0.0, begin
        tally = self._tally
        while left > 1e-9 and self._queue:
            head = self._queue[0]
            taken = min(left, head.count)
            share = taken / head.count
            span = (head.end - head.begin) * share
            until = at + seconds * taken / admitted
            first, last = max(at - head.begin, 0.0), max(until - head.begin - span, 0.0)
            for (part, _), own in zip(scatter.PROMPTS, alone, strict=True):
                slack = self._slo.ttft_s - own
                inside = scatter.share_below(first, last, slack)
                if inside > 0 and waits > 0:
                    inside *= 1 - waits * math.exp(-max(slack - min(first, last), 0.0) / wait)
                good += taken * part * inside
                self._ttft.add(own + (first + last) / 2, taken * part * (1 - waits))
                for some, times in scatter.WAITS:
                    self._ttft.add(own + (first + last) / 2 + wait * times, taken * part * waits * some)
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

    def _queueing(self, rate: float, cv: float, reads: float, seconds: float) -> tuple[float, float]:
        """Share of requests that wait for the prompts before, and how long those do on average.

        Kingman's formula for one of the replicas, among which a balancer spreads arrivals more evenly than they come;
        no more than what chance piles up within the tick (the mean of a Brownian motion that is reflected at 0).
        """
        if rate <= 0 or reads <= 0:
            return 0.0, 1.0
        use = min(rate / reads, 0.98)
        service = self._serving / reads
        varies = max(1 + (cv * cv - 1) / self._serving, 0.0) + PROMPT_CV * PROMPT_CV
        piled = math.sqrt(2 / math.pi * seconds * use * service * varies)
        return use, min(service * use / (1 - use) * varies / 2, piled) / use

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

    def _step(self, decoding: float, context: float, read: float, prompt: float) -> float:
        """The roofline's step: `read` tokens belong to prompts of `prompt` tokens."""
        return self._steps.step_s(decoding, decoding * context, read, read * prompt)
