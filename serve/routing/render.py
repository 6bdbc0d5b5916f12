"""A decision as JSON (`/v1/route`, logs) and as a table for people. Both show all of the record."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from serve.routing.reasons import usd
from serve.routing.records import Candidate, Decision
from serve.routing.tags import name

# Below this a probability is shown as 0.00.
LEAST_SHOWN = 0.005


def decision_dict(decision: Decision) -> dict[str, Any]:
    """The record as JSON values. Fields are added over time, never renamed."""
    language = decision.language
    return {
        "model": decision.model,
        "requested": decision.requested,
        "mode": decision.mode.value,
        "language": {
            "tag": language.tag,
            "answer": language.answer,
            "source": language.source.value,
            "abstained": language.abstained,
            "posterior": [{"tag": tag, "probability": round(p, 4)} for tag, p in language.posterior],
        },
        "task": {"name": decision.task, "source": decision.task_source.value},
        "quality_floor": decision.floor,
        "reason": decision.reason,
        "reason_code": decision.reason_code,
        "fallback": decision.fallback,
        "shift": None if decision.shift is None else to_builtins(decision.shift),
        "ranking": list(decision.ranking),
        "candidates": [_candidate(one) for one in decision.candidates],
        "notes": list(decision.notes),
        "decided_at": decision.decided_at,
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "model": one.model,
        "cost_usd": one.cost_usd,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "quality": one.quality,
        "quality_status": one.quality_status,
        "quality_interval": None if one.quality_low is None else [one.quality_low, one.quality_high],
        "cached_tokens": one.cached_tokens,
        "wait_s": one.wait_s,
        "rejection": None if one.rejection is None else one.rejection.value,
        "detail": one.detail,
    }


def decision_text(decision: Decision) -> str:
    """The record for a terminal: the reason, the languages, and a line for each candidate, best first."""
    language = decision.language
    posterior = ", ".join(f"{name(tag)} {p:.2f}" for tag, p in language.posterior[:4] if p >= LEAST_SHOWN)
    lines = [
        decision.reason,
        "",
        f"model     {decision.model or '(none)'}   [{decision.mode.value}, {decision.reason_code}]",
        f"language  {language.tag} from {language.source.value}: {posterior}",
        f"answer    {language.answer} ({name(language.answer)})",
        f"task      {decision.task or 'not known: the mean of the generative tasks counts'}"
        + (f" ({decision.task_source.value})" if decision.task else ""),
        f"floor     {decision.floor:+g} points against the reference",
        "",
    ]
    rank = {model: at for at, model in enumerate(decision.ranking, 1)}
    ordered = sorted(decision.candidates, key=lambda one: (rank.get(one.model, len(rank) + 1), one.cost_usd, one.model))
    rows = [("", "model", "cost USD", "in", "out", "quality", "rejected")]
    rows += [
        (
            str(rank.get(one.model, "")),
            one.model,
            usd(one.cost_usd),
            str(one.input_tokens),
            str(one.output_tokens),
            _quality(one),
            ": ".join(filter(None, (one.rejection.value if one.rejection else "", one.detail))),
        )
        for one in ordered
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    right = {2, 3, 4}
    for row in rows:
        cells = [
            cell.rjust(widths[column]) if column in right else cell.ljust(widths[column])
            for column, cell in enumerate(row[:6])
        ]
        lines.append("  ".join([*cells, row[6]]).rstrip())
    lines += [f"note: {note}" for note in decision.notes]
    return "\n".join(lines)


def _quality(one: Candidate) -> str:
    return one.quality_status if one.quality is None else f"{one.quality:+.1f} {one.quality_status}"
