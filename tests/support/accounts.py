"""The same requests, tokens and money in three books: Prometheus, the decision log, the ledger."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from observability import metrics
from observability.metric import Metric
from observability.promql import Matches, series, unlike
from serve.gateway.decision_log import NAME as DECISIONS
from serve.gateway.ledger.store import NAME as LEDGER
from serve.routing import log
from tests.support.prometheus import Prometheus

NANO = 1_000_000_000


@dataclass
class Account:
    """What a book says: requests that reached a model by (model, status), tokens and nano-USD by model."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    input: Counter[str] = field(default_factory=Counter)
    output: Counter[str] = field(default_factory=Counter)
    nano_usd: Counter[str] = field(default_factory=Counter)

    def add(self, model: str, status: int, tokens: tuple[int, int], nano_usd: int) -> None:
        """One more request."""
        self.requests[model, str(status)] += 1
        self.input[model] += tokens[0]
        self.output[model] += tokens[1]
        self.nano_usd[model] += nano_usd

    def positive(self) -> Account:
        """Without zeros, so that books can be compared."""
        return Account(+self.requests, +self.input, +self.output, +self.nano_usd)


def of_prometheus(prometheus: Prometheus, instance: str, at: float) -> Account:
    """What the gateway of that instance had counted since it started, as Prometheus has it at that time."""

    def by_model(metric: Metric, **matchers: str | Matches) -> Counter[str]:
        found = prometheus.query(series(metric, instance=instance, **matchers).by("model").text, at)
        scale = NANO if metric is metrics.COST else 1
        return Counter({one["metric"]["model"]: round(float(one["value"][1]) * scale) for one in found})

    reached = series(metrics.REQUESTS, instance=instance, model=unlike("none")).by("model", "status")
    return Account(
        Counter(
            {
                (one["metric"]["model"], one["metric"]["status"]): round(float(one["value"][1]))
                for one in prometheus.query(reached.text, at)
            }
        ),
        by_model(metrics.TOKENS, direction="input"),
        by_model(metrics.TOKENS, direction="output"),
        by_model(metrics.COST),
    ).positive()


def statuses(prometheus: Prometheus, instance: str, at: float) -> Counter[int]:
    """All requests by status until then, those that reached no model included."""
    found = prometheus.query(series(metrics.REQUESTS, instance=instance).by("status").text, at)
    return Counter({int(one["metric"]["status"]): round(float(one["value"][1])) for one in found})


def entries(state_dir: Path, since: float) -> list[log.Entry]:
    """The lines of a gateway's decision log from that time on."""
    files = sorted(state_dir.glob(f"{DECISIONS}*"))
    lines = (line for file in files for line in file.read_bytes().splitlines())
    return [entry for entry in map(log.parse, lines) if entry.at >= since]


def of_log(found: Iterable[log.Entry]) -> Account:
    """What the decision log says of requests that reached a model."""
    account = Account()
    for entry in found:
        done = entry.outcome
        if done is not None and done.model is not None:
            tokens = done.prompt_tokens or 0, done.completion_tokens or 0
            account.add(done.model, done.status, tokens, done.nano_usd)
    return account.positive()


def of_ledger(state_dir: Path, since: float) -> Account:
    """What the ledger says."""
    account = Account()
    with closing(sqlite3.connect(f"file:{state_dir / LEDGER}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT model, status, input_tokens, output_tokens, nano_usd FROM ledger WHERE at >= ?", (since,)
        )
        for model, status, read, written, nano_usd in rows:
            account.add(model, status, (read, written), nano_usd)
    return account.positive()
