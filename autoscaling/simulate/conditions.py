"""What a simulated world is like: starts, nodes, failures, and how fine time is cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conditions:
    """Times in seconds. All randomness follows from `seed`.

    A start takes a log-normal time with mean `cold_start_s` and coefficient of variation `cold_start_cv`, and a node
    before it (`node_s`) where none of the `warm_nodes` replicas' worth of GPUs is free. Replicas fail independently,
    `failures_per_hour` each; a failed one starts anew, and the requests that it had are lost. What engines report is
    seen `engine_lag_s` late (Ray's export interval).
    """

    cold_start_s: float = 180.0
    cold_start_cv: float = 0.15
    node_s: float = 0.0
    warm_nodes: int = 0
    failures_per_hour: float = 0.0
    engine_lag_s: float = 10.0
    tick_s: float = 5.0
    warm_up_s: float = 0.0  # at the trace's begin; simulated, and not counted
    seed: int = 1
