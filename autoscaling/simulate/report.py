"""What simulated policies came to, as rows for people and as plain values for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final

from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.outcome import Minute, ModelOutcome, Outcome
from autoscaling.simulate.traces import Trace
from serve.fleet.slo import Slo

DAY_S: Final = 86_400.0
HOUR_S: Final = 3600.0

FIGURES: Final = (
    "met", "TTFT met", "ITL met", "TTFT p50", "TTFT p99", "ITL p50", "ITL p99", "GPU-hours", "USD", "reversals",
    "cold starts", "failures", "worst minute",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """What was simulated: whose traffic, in what world, held to which objectives."""

    fleet: str
    traffic: Mapping[str, Trace]
    conditions: Conditions
    world: str
    slo: Slo

    @property
    def seconds(self) -> float:
        """Until the last trace ends."""
        return max(trace.seconds for trace in self.traffic.values())


def minutes(outcome: Outcome) -> tuple[Minute, ...]:
    """All models together, minute by minute: sums, and the share of all their requests within the objectives."""
    together: dict[float, list[Minute]] = {}
    for model in outcome.models.values():
        for minute in model.minutes:
            together.setdefault(minute.at_s, []).append(minute)
    return tuple(_sum(at_s, parts) for at_s, parts in sorted(together.items()))


def missed(minute: Minute) -> float:
    """Requests of a minute that missed an objective."""
    return (1 - minute.met) * minute.requests


def moment(at_s: float, of_s: float) -> str:
    """A time since a trace's begin: `day 3 14:05` where the trace (`of_s`) is longer than a day, else `14:05`."""
    days, rest = divmod(at_s, DAY_S)
    clock = f"{int(rest // HOUR_S):02}:{int(rest % HOUR_S // 60):02}"
    return f"day {int(days) + 1} {clock}" if of_s > DAY_S else clock


def rows(outcomes: Sequence[Outcome]) -> tuple[list[tuple[str, ...]], frozenset[int]]:
    """A table, its head first, and the columns that end flush. With several models a row for all of them, which has no
    quantiles, stands above a row each."""
    several = any(len(outcome.models) > 1 for outcome in outcomes)
    names = ("policy", "model") if several else ("policy",)
    table: list[tuple[str, ...]] = [(*names, *FIGURES)]
    for outcome in outcomes:
        if several:
            table.append((outcome.policy, "all", *_total(outcome)))
            table += [("", one.model, *_figures(one, outcome.seconds)) for one in outcome.models.values()]
        else:
            table += [(outcome.policy, *_figures(one, outcome.seconds)) for one in outcome.models.values()]
    first = len(names)
    return table, frozenset(range(first, first + len(FIGURES) - 1))


def description(setting: Setting, policies: int, took_s: float, processes: int) -> str:
    """One line: what was simulated, and how long that took."""
    one = setting.conditions
    requests = sum(trace.requests for trace in setting.traffic.values())
    parts = [f"cold starts of {one.cold_start_s:g} s ± {one.cold_start_cv:.0%}"]
    if one.node_s:
        parts.append(f"nodes after {one.node_s:g} s")
    if one.failures_per_hour:
        parts.append(f"{one.failures_per_hour:g} failures an hour of a replica")
    parts.append(f"seed {one.seed}")
    return (
        f"{requests:,.0f} requests in {span(setting.seconds)} ({setting.world}): {', '.join(parts)}; "
        f"{policies} {'policy' if policies == 1 else 'policies'} in {took_s:,.0f} s on {processes} "
        f"{'process' if processes == 1 else 'processes'}"
    )


def span(seconds: float) -> str:
    """In days, hours or minutes, whichever is readable."""
    for name, unit in (("days", DAY_S), ("hours", HOUR_S)):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.4g} {name}"
    return f"{seconds / 60:.4g} minutes"


def as_dict(setting: Setting, outcomes: Sequence[Outcome], took_s: float, with_minutes: bool = False) -> dict[str, Any]:
    """Everything that is known, ready for JSON: times in seconds, shares from 0 to 1, None where there is no figure."""
    return {
        "fleet": setting.fleet,
        "world": setting.world,
        "seconds": setting.seconds,
        "slo": {"ttft_s": setting.slo.ttft_s, "itl_s": setting.slo.itl_s, "attainment": setting.slo.attainment},
        "conditions": asdict(setting.conditions),
        "traffic": {
            model: {"trace": trace.name, "requests": trace.requests, "seconds": trace.seconds}
            for model, trace in setting.traffic.items()
        },
        "took_s": took_s,
        "policies": [_outcome(outcome, with_minutes) for outcome in outcomes],
    }


def _outcome(outcome: Outcome, with_minutes: bool) -> dict[str, Any]:
    models = outcome.models.values()
    return {
        "policy": outcome.policy,
        "took_s": outcome.took_s,
        "requests": sum(one.requests for one in models),
        "met": outcome.met,
        "ttft_within": _share(outcome, "ttft_within"),
        "itl_within": _share(outcome, "itl_within"),
        "gpu_hours": outcome.gpu_hours,
        "usd": outcome.usd,
        "reversals": sum(one.reversals for one in models),
        "cold_starts": sum(one.cold_starts for one in models),
        "failures": sum(one.failures for one in models),
        "worst_minute": _worst(minutes(outcome)),
        "models": {one.model: _model(one, with_minutes) for one in models},
    }


def _model(one: ModelOutcome, with_minutes: bool) -> dict[str, Any]:
    plain = {name: getattr(one, name) for name in _FIELDS}
    plain |= {name: _finite(getattr(one, name)) for name in _QUANTILES}
    plain["worst_minute"] = _worst(one.minutes)
    if with_minutes:
        plain["minutes"] = [asdict(minute) for minute in one.minutes]
    return plain


_FIELDS = (
    "requests", "met", "ttft_within", "itl_within", "gpu_hours", "usd", "reversals", "cold_starts", "failures"
)  # fmt: skip
_QUANTILES = ("ttft_p50_s", "ttft_p99_s", "itl_p50_s", "itl_p99_s")


def _worst(found: Sequence[Minute]) -> dict[str, float] | None:
    """The minute in which the most requests missed; None where none did."""
    worst = max(found, key=missed, default=None)
    if worst is None or missed(worst) <= 0:
        return None
    return {"at_s": worst.at_s, "missed": missed(worst), "requests": worst.requests}


def _share(outcome: Outcome, name: str) -> float:
    requests = sum(one.requests for one in outcome.models.values())
    kept: float = sum(getattr(one, name) * one.requests for one in outcome.models.values())
    return kept / requests if requests else 1.0


def _sum(at_s: float, parts: Sequence[Minute]) -> Minute:
    requests = sum(part.requests for part in parts)
    return Minute(
        at_s=at_s,
        requests=requests,
        work=sum(part.work for part in parts),
        met=1 - sum(missed(part) for part in parts) / requests if requests else 1.0,
        waiting=sum(part.waiting for part in parts),
        wanted=sum(part.wanted for part in parts),
        serving=sum(part.serving for part in parts),
        held=sum(part.held for part in parts),
    )


def _figures(one: ModelOutcome, seconds: float) -> tuple[str, ...]:
    return (
        *(f"{share:.2%}" for share in (one.met, one.ttft_within, one.itl_within)),
        *(_time(value) for value in (one.ttft_p50_s, one.ttft_p99_s, one.itl_p50_s, one.itl_p99_s)),
        *_spent(one.gpu_hours, one.usd, one.reversals, one.cold_starts, one.failures),
        _worst_words(one.minutes, seconds),
    )


def _total(outcome: Outcome) -> tuple[str, ...]:
    models = outcome.models.values()
    return (
        *(f"{share:.2%}" for share in (outcome.met, _share(outcome, "ttft_within"), _share(outcome, "itl_within"))),
        *("",) * len(_QUANTILES),
        *_spent(
            outcome.gpu_hours,
            outcome.usd,
            sum(one.reversals for one in models),
            sum(one.cold_starts for one in models),
            sum(one.failures for one in models),
        ),
        _worst_words(minutes(outcome), outcome.seconds),
    )


def _spent(gpu_hours: float, usd: float, reversals: int, cold_starts: int, failures: int) -> tuple[str, ...]:
    digits = 0 if gpu_hours >= 100 else 2
    money = 0 if usd >= 100 else 2
    return (
        f"{gpu_hours:,.{digits}f}", f"{usd:,.{money}f}", f"{reversals:,}", f"{cold_starts:,}", f"{failures:,}"
    )  # fmt: skip


def _worst_words(found: Sequence[Minute], seconds: float) -> str:
    worst = _worst(found)
    # The fluid world has fractions of requests.
    if worst is None or worst["missed"] < 0.5:
        return "none missed"
    return f"{moment(worst['at_s'], seconds)}: {worst['missed']:,.0f} of {worst['requests']:,.0f} missed"


def _time(seconds: float) -> str:
    if not isfinite(seconds):
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
