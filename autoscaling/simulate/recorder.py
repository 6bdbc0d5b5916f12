"""Turns a simulated model's sums into its outcome: minutes on the way, figures at the end."""

from __future__ import annotations

from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.lifecycle import Lifecycle
from autoscaling.simulate.outcome import Minute, ModelOutcome
from autoscaling.simulate.pool import Batch, Pool
from autoscaling.snapshot import Weights

MINUTE_S = 60.0


class Recorder:
    """One model's. What happens before `conditions.warm_up_s` is not counted."""

    def __init__(self, weights: Weights, conditions: Conditions) -> None:
        self._weights = weights
        self._from_s = conditions.warm_up_s
        self._minutes: list[Minute] = []
        self._until = conditions.warm_up_s + MINUTE_S
        self._work = 0.0
        self._last = _Sums()
        self._begin = _Sums()
        self._started = False

    def saw(self, now: float, batch: Batch, pool: Pool, lifecycle: Lifecycle) -> None:
        """One tick has ended."""
        if now <= self._from_s:
            return
        if not self._started:
            self._started = True
            self._begin = self._last = _Sums.of(pool, lifecycle)
            self._work = 0.0
            return
        self._work += batch.count * (self._weights.prompt * batch.prompt + self._weights.output * batch.output)
        if now >= self._until:
            self._minute(now, pool, lifecycle)

    def _minute(self, now: float, pool: Pool, lifecycle: Lifecycle) -> None:
        sums, last = _Sums.of(pool, lifecycle), self._last
        ended = sums.ended - last.ended
        met = min((sums.met - last.met) / ended, 1.0) if ended > 1e-9 else 1.0
        self._minutes.append(
            Minute(
                at_s=self._until - MINUTE_S,
                requests=sums.arrived - last.arrived,
                work=self._work / MINUTE_S,
                met=met,
                waiting=pool.tally.waiting,
                wanted=lifecycle.target,
                serving=pool.serving,
                held=lifecycle.held,
            )
        )
        self._last, self._work = sums, 0.0
        self._until += MINUTE_S

    def outcome(self, model: str, pool: Pool, lifecycle: Lifecycle, gpus: int, usd_per_hour: float) -> ModelOutcome:
        """At the end. Requests that still wait then have not been answered; those that are being answered are left out:
        nobody knows what would have come of them."""
        end, begin, tally = _Sums.of(pool, lifecycle), self._begin, pool.tally
        ended = end.ended - begin.ended + tally.waiting
        hours = (end.replica_s - begin.replica_s) / 3600

        def share(value: float) -> float:
            return min(max(value / ended, 0.0), 1.0) if ended > 0 else 1.0

        return ModelOutcome(
            model=model,
            requests=ended,
            met=share(end.met - begin.met),
            ttft_within=share(tally.ttft_within - begin.ttft_within),
            itl_within=share(tally.itl_within - begin.itl_within),
            ttft_p50_s=pool.ttft_quantile(0.5),
            ttft_p99_s=pool.ttft_quantile(0.99),
            itl_p50_s=pool.itl_quantile(0.5),
            itl_p99_s=pool.itl_quantile(0.99),
            gpu_hours=hours * gpus,
            usd=hours * usd_per_hour,
            reversals=lifecycle.reversals,
            cold_starts=lifecycle.cold_starts,
            failures=lifecycle.failures,
            minutes=tuple(self._minutes),
        )


class _Sums:
    """Of a pool and its replicas at one moment."""

    __slots__ = ("arrived", "ended", "itl_within", "met", "replica_s", "ttft_within")

    def __init__(self) -> None:
        self.arrived = self.ended = self.met = self.ttft_within = self.itl_within = self.replica_s = 0.0

    @classmethod
    def of(cls, pool: Pool, lifecycle: Lifecycle) -> _Sums:
        tally, self = pool.tally, cls()
        self.arrived, self.ended, self.met = tally.arrived, tally.finished + tally.lost, tally.met
        self.ttft_within, self.itl_within, self.replica_s = tally.ttft_within, tally.itl_within, lifecycle.replica_s
        return self
