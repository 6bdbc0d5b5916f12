"""Cost by language since the gateway started: the counters that Prometheus scrapes, added up for one page."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from prometheus_client import CollectorRegistry

from observability import metrics
from serve.routing.tags import name

_READ = (metrics.REQUESTS, metrics.TOKENS, metrics.WORDS, metrics.COST, metrics.REFERENCE_COST)
_COUNTS = ("requests", "input_tokens", "output_tokens", "words", "usd", "reference_usd")
NO_MODEL = "none"


def costs(registry: CollectorRegistry) -> list[dict[str, Any]]:
    """One row a language, most requests first; nothing for languages that nobody has asked in.

    `words` are those read and written; `usd_per_1000_words` is None while no word has been counted. `models` are the
    requests of each model that was reached.
    """
    rows: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0.0))
    models: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for family in registry.restricted_registry([metric.name for metric in _READ]).collect():
        for sample in family.samples:
            language, direction = sample.labels["language"], sample.labels.get("direction", "")
            row = rows[language]
            if sample.name == metrics.REQUESTS.name:
                row["requests"] += sample.value
                if sample.labels["model"] != NO_MODEL:
                    models[language][sample.labels["model"]] += sample.value
            elif sample.name == metrics.TOKENS.name:
                if direction in ("input", "output"):
                    row[f"{direction}_tokens"] += sample.value
            elif sample.name == metrics.WORDS.name:
                row["words"] += sample.value
            elif sample.name == metrics.COST.name:
                row["usd"] += sample.value
            else:
                row["reference_usd"] += sample.value
    table = [
        {
            "language": language,
            "name": name(language),
            **row,
            "usd_per_1000_words": per_1000_words(row["usd"], row["words"]),
            "models": {model: count for model, count in sorted(models[language].items()) if count},
        }
        for language, row in rows.items()
        if row["requests"]
    ]
    return sorted(table, key=lambda row: (-row["requests"], row["language"]))


def per_1000_words(usd: float, words: float) -> float | None:
    """USD for a thousand words; None for no words."""
    return 1000 * usd / words if words > 0 else None
