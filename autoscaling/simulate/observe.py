"""What the autoscaler would see of a simulated model: the readings of `autoscaling.queries`, from sums over ticks."""

from __future__ import annotations

from collections import deque

from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.pool import Tally
from autoscaling.snapshot import Cause, Reading, Replicas, Seen
from serve.fleet.autoscaling import Autoscaling

# What is kept of a moment: sums, then states.
_Sums = tuple[float, ...]
# Gateways are scraped as often as the autoscaler looks; a sample is half as old on average.
SCRAPE_AGE_S = 7.5


class Observer:
    """Remembers as many ticks as the longest window has."""

    def __init__(self, settings: Autoscaling, conditions: Conditions) -> None:
        tick_s = conditions.tick_s
        self._window = max(round(settings.window_s / tick_s), 1)
        self._mix = max(round(settings.mix_window_s / tick_s), self._window)
        self._lag = round(conditions.engine_lag_s / tick_s)
        self._age_s = conditions.engine_lag_s
        self._tick_s = tick_s
        self._past: deque[_Sums] = deque(maxlen=self._mix + self._lag + 1)

    def saw(self, tally: Tally) -> None:
        """One tick has ended."""
        self._past.append(
            (
                tally.finished, tally.prompt, tally.output, tally.answered, tally.ttft_within, tally.token_gaps,
                tally.gaps_within, tally.worked_prompt, tally.worked_output, tally.itl_within,
                tally.open, tally.running, tally.waiting, tally.kv_use,
            )
        )  # fmt: skip

    def seen(self, replicas: Replicas) -> Seen:
        """The model now."""
        past = self._past
        if not past:
            return Seen(replicas=replicas, replicas_cause=None)
        now, engines = past[-1], past[max(len(past) - 1 - self._lag, 0)]
        since, engines_since = self._before(0, self._window), self._before(self._lag, self._window)
        window_s = max(min(self._window, len(past) - 1), 1) * self._tick_s
        mixed = self._before(0, self._mix)
        mix_s = max(min(self._mix, len(past) - 1), 1) * self._tick_s
        up = replicas.running > 0

        def gateway(value: float) -> Reading:
            return Reading(value, SCRAPE_AGE_S)

        def engine(value: float) -> Reading:
            return Reading(max(value, 0.0) if up else 0.0, self._age_s)

        return Seen(
            finished=gateway((now[0] - since[0]) / window_s),
            in_flight=gateway(max(now[10], 0.0)),
            growth=gateway((now[10] - since[10]) / window_s),
            refused=gateway(0.0),
            prompt_tokens=gateway((now[1] - mixed[1]) / mix_s),
            cached_tokens=gateway(0.0),
            output_tokens=gateway((now[2] - mixed[2]) / mix_s),
            answered=gateway((now[0] - mixed[0]) / mix_s),
            recent_prompt_tokens=gateway((now[1] - since[1]) / window_s),
            recent_cached_tokens=gateway(0.0),
            recent_output_tokens=gateway((now[2] - since[2]) / window_s),
            recent_answered=gateway((now[0] - since[0]) / window_s),
            ttft_within=_share(now[4] - since[4], now[3] - since[3]),
            itl_within=_share(now[6] - since[6], now[5] - since[5]),
            tpot_within=_share(now[9] - since[9], now[0] - since[0]),
            running=engine(engines[11]),
            waiting=engine(engines[12]),
            kv_use=engine(engines[13]),
            worked_prompt_tokens=engine((engines[7] - engines_since[7]) / window_s),
            worked_output_tokens=engine((engines[8] - engines_since[8]) / window_s),
            replicas=replicas,
            replicas_cause=None,
        )

    def _before(self, lag: int, ticks: int) -> _Sums:
        past = self._past
        return past[max(len(past) - 1 - lag - ticks, 0)]


def _share(within: float, all_: float) -> Reading:
    if all_ <= 1e-9:
        return Reading.without(Cause.MISSING, SCRAPE_AGE_S)
    return Reading(min(max(within / all_, 0.0), 1.0), SCRAPE_AGE_S)
