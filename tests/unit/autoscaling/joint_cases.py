"""Fleets of several models with chosen figures, and problems small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

from autoscaling_cases import reading, seen

from autoscaling.joint.problem import Lane, Problem, Road, Site, Terms
from autoscaling.plan import Shift
from autoscaling.snapshot import Reading, Seen, Snapshot
from serve.fleet import Fleet
from serve.fleet.loader import resolve

BIG, SMALL = "llama-3.3-70b-instruct", "gemma-2-9b-it"
# What the big one costs an hour is twice what the small one does: two GPUs instead of one.
GPU = "H100-SXM-80GB"


def two(big: Any = None, small: Any = None, models: tuple[Any, ...] = (), **settings: Any) -> Fleet:
    """A 70B and a 9B on GPUs of one kind; a replica of either does 1,000 tokens a second, all of which are planned for.

    In Swedish the 70B is above the floor in every task, and the 9B in most: it takes them, being cheaper."""

    def replicas(given: Any) -> Any:
        return {"initial": 1, "min": 1, "max": 10, "tokens_per_s": 1000, **(given or {})}

    work = {"target_utilisation": 1, "headroom": 1, "cold_start_s": 60}
    described = [
        {"use": BIG, "engine": {"gpu": GPU, "tensor_parallel": 2, "quantization": "fp8", "replicas": replicas(big)}},
        {"use": SMALL, "engine": {"gpu": GPU, "replicas": replicas(small)}},
        *models,
    ]
    settings = {"policy": "token-work", "work": work, "interval_s": 15.0, **settings}
    return resolve({"models": described, "autoscaling": settings}, "test")


def moment(
    at: float,
    big: float,
    small: float,
    shifts: tuple[Shift, ...] = (),
    languages: tuple[str, ...] = ("sv", "de"),
    replicas: dict[str, int] | None = None,
    **states: Seen,
) -> Snapshot:
    """Requests a second of 100 tokens meant for either model, in these languages evenly; `shifts` move theirs."""
    up = {BIG: 1, SMALL: 1, **(replicas or {})}
    each = {BIG: big, SMALL: small}
    stayed = {model: {tag: rate / len(languages) for tag in languages} for model, rate in each.items()}
    shifted: dict[str, dict[str, float]] = {BIG: {}, SMALL: {}}
    for shift in shifts:
        rate = each[shift.source] / len(languages) * shift.share
        stayed[shift.source][shift.language] -= rate
        shifted[shift.to][shift.language] = shifted[shift.to].get(shift.language, 0.0) + rate
    total = {model: sum(stayed[model].values()) + sum(shifted[model].values()) for model in each}
    models = {model: seen(total[model], target=up[model]) for model in each} | states
    return Snapshot(at, models, _readings(stayed), _readings(shifted))


def _readings(rates: dict[str, dict[str, float]]) -> dict[str, dict[str, Reading]]:
    return {model: {tag: reading(rate) for tag, rate in told.items()} for model, told in rates.items()}


def site(model: str, base: float, reserve: float = 0.0, **figures: Any) -> Site:
    """A model whose replica costs a dollar an hour and does 100."""
    return Site(
        **{
            "model": model, "usd": 1.0, "usable": 100.0, "base": base, "reserve": reserve, "least": 0, "most": 10,
            "present": 0, "missed_usd": 1.0, "gpu": GPU, "gpus": 1, **figures,
        }
    )  # fmt: skip


def problem(sites: list[Site], roads: list[tuple[str, str, str, float]] = [], **more: Any) -> Problem:  # noqa: B006
    """`roads`: language, source, other model, and the part of the source's work that is in the language."""
    known = {one.model: one for one in sites}
    made = {}
    for language, source, to, part in roads:
        lane = Lane(language, source, to)
        made[lane] = Road(lane, known[source].base * part, known[source].reserve * part, 1.0, 1.0)
    return Problem(known, made, **{"terms": Terms(start=0.0), **more})
