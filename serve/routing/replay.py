"""What another fleet would have done with logged decisions: choices, cost, quality, languages, and what differs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from serve.fleet.description import Fleet
from serve.routing.decide import decide_observed
from serve.routing.log import Entry, live_of, shifts_of
from serve.routing.sums import Sums

NOBODY = "(none)"


@dataclass(slots=True)
class Both:
    """What was, and what would have been."""

    was: Sums = field(default_factory=Sums)
    would: Sums = field(default_factory=Sums)


@dataclass(slots=True)
class Change:
    """Decisions of one language that would go from one model to another."""

    count: int = 0
    cost_usd: float = 0.0  # what is added by it; negative: saved


class Replay:
    """Replays entries against a fleet, one by one, in bounded memory: sums by language and model, no entries."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.total = Both()
        self.languages: defaultdict[str, Both] = defaultdict(Both)
        self.models_was: Counter[str] = Counter()
        self.models_would: Counter[str] = Counter()
        self.reasons_would: Counter[str] = Counter()
        self.changes: defaultdict[tuple[str, str, str], Change] = defaultdict(Change)
        self.language_changes: Counter[tuple[str, str]] = Counter()
        self.changed = 0
        self.paid_nano_usd = 0
        self.settled = 0
        self.first: float | None = None
        self.last: float | None = None

    def add(self, entry: Entry) -> None:
        """One logged decision."""
        decision = decide_observed(
            entry.observed, entry.request, self._fleet, live_of(entry), entry.at, shifts_of(entry), entry.uniform
        )
        chosen = next((one for one in decision.candidates if one.model == decision.model), None)
        cost, quality = (chosen.cost_usd, chosen.quality) if chosen else (0.0, None)
        for both in (self.total, self.languages[entry.language]):
            both.was.add(entry.model, entry.cost_usd, entry.quality)
            both.would.add(decision.model, cost, quality)
        was, would = entry.model or NOBODY, decision.model or NOBODY
        self.models_was[was] += 1
        self.models_would[would] += 1
        self.reasons_would[decision.reason_code] += 1
        if was != would:
            self.changed += 1
            change = self.changes[entry.language, was, would]
            change.count += 1
            change.cost_usd += cost - entry.cost_usd
        if decision.language.tag != entry.language:
            self.language_changes[entry.language, decision.language.tag] += 1
        if entry.outcome is not None and entry.outcome.prompt_tokens is not None:
            self.settled += 1
            self.paid_nano_usd += entry.outcome.nano_usd
        self.first = entry.at if self.first is None else min(self.first, entry.at)
        self.last = entry.at if self.last is None else max(self.last, entry.at)

    def as_dict(self) -> dict[str, Any]:
        """The whole result as JSON values."""
        return {
            "decisions": self.total.was.decisions,
            "from": self.first,
            "to": self.last,
            "changed": self.changed,
            "was": self.total.was.as_dict(),
            "would": self.total.would.as_dict(),
            "paid_usd": self.paid_nano_usd / 1e9,
            "settled": self.settled,
            "models": {
                model: {"was": self.models_was[model], "would": self.models_would[model]}
                for model in sorted(self.models_was | self.models_would)
            },
            "reasons": dict(sorted(self.reasons_would.items())),
            "languages": {
                tag: {"was": both.was.as_dict(), "would": both.would.as_dict()}
                for tag, both in sorted(self.languages.items())
            },
            "language_changes": [
                {"was": was, "would": would, "count": count}
                for (was, would), count in sorted(self.language_changes.items())
            ],
            "changes": [
                {"language": tag, "was": was, "would": would, "count": change.count, "cost_usd": change.cost_usd}
                for (tag, was, would), change in self.by_weight()
            ],
        }

    def by_weight(self) -> list[tuple[tuple[str, str, str], Change]]:
        """The changes, those of most decisions first."""
        return sorted(self.changes.items(), key=lambda item: (-item[1].count, item[0]))
