"""Traffic for several models out of one trace: each at its own size, their peaks together or apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.simulate.splitter import Spoken
from autoscaling.simulate.traces import Trace, Window
from serve.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Part:
    """One model's traffic: its mean load in replicas at their limit, by how much its day is later than the trace's, and
    the languages that it is in."""

    replicas: float
    later_s: float
    spoken: Spoken


def mixed(fleet: Fleet, trace: Trace, parts: Mapping[str, Part]) -> dict[str, Trace]:
    """Each model's trace: the same windows, as dense as its part asks for, begun where its day has come.

    Raises ValueError for a trace of single requests, and for a model whose limit cannot be reckoned.
    """
    if trace.arrivals:
        raise ValueError(f"{trace.name}: single requests cannot be made denser; take a trace of windows")
    return {model: turned(_sized(fleet, model, trace, part.replicas), part.later_s) for model, part in parts.items()}


def turned(trace: Trace, later_s: float) -> Trace:
    """The trace begun `later_s` before its end, which comes first: what happened at noon happens that much later.

    Windows stay whole: the nearest one that ends there is where it is cut.
    """
    if not later_s:
        return trace
    cut = trace.seconds - later_s % trace.seconds
    behind = [window for window in trace.windows if window.start_s >= cut]
    ahead = [window for window in trace.windows if window.start_s < cut]
    at, windows = trace.windows[0].start_s, list[Window]()
    for window in (*behind, *ahead):
        windows.append(replace(window, start_s=at))
        at += window.seconds
    return Trace(f"{trace.name}+{later_s / 3600:g}h", tuple(windows))


def _sized(fleet: Fleet, model: str, trace: Trace, replicas: float) -> Trace:
    """The trace with a mean load of so many replicas, each at its limit for the window's lengths."""
    described, load = fleet.model(model), 0.0
    for window in trace.windows:
        limit = sustained(described, Mix(window.prompt, window.output), fleet.slo)
        if limit is None:
            raise ValueError(f"{model}: no roofline, so its load cannot be reckoned in replicas")
        load += window.requests_per_s / limit.requests_per_s * window.seconds
    return trace.scaled(replicas / (load / trace.seconds))
