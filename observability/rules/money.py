"""Cost and words by language as recording rules, and alerts on money: its price a word, budgets, the ledger."""

from __future__ import annotations

from observability import metrics
from observability.metric import Metric
from observability.promql import Expr, aggregate, increase, rate, recorded, series
from observability.rules.rule import Alert, Recording, Severity

# A rise by half over the language's own past is no noise: prices, models' shares or answers' lengths have changed.
JUMP = 1.5
NOW_WINDOW, NOW_S = "6h", 6 * 3600
PAST_WINDOW, PAST_S = "7d", 7 * 86_400
# About a hundred requests: below that a few long prompts make the price.
FEWEST_WORDS = 20_000

NEARLY = 0.9
LATE_ROWS_S = 60


def _by_language(name: str, metric: Metric) -> Expr:
    return recorded(f"language:{name}:rate1h", frozenset(("language",)), frozenset((metric,)))


COST = _by_language("parlance_cost_usd", metrics.COST)
WORDS = _by_language("parlance_words", metrics.WORDS)


def recordings() -> tuple[Recording, ...]:
    """USD and words (read and written) a second by language."""
    return (
        Recording(COST.text, rate(metrics.COST, "1h").by("language")),
        Recording(WORDS.text, rate(metrics.WORDS, "1h").by("language")),
    )


def alerts() -> tuple[Alert, ...]:
    """On what a language's words cost, on budgets, and on the ledger."""
    words, words_before = WORDS.over(NOW_WINDOW, "avg"), WORDS.over_until(PAST_WINDOW, NOW_WINDOW, "avg")
    price = COST.over(NOW_WINDOW, "avg") / words
    before = COST.over_until(PAST_WINDOW, NOW_WINDOW, "avg") / words_before
    enough = (words * NOW_S).at_least(FEWEST_WORDS).and_((words_before * PAST_S).at_least(FEWEST_WORDS))
    spent = aggregate("max", series(metrics.BUDGET_SPENT), "tenant")
    budget = aggregate("max", series(metrics.BUDGET), "tenant")
    return (
        Alert(
            "ParlanceCostPerWordJumped",
            Severity.TICKET,
            (price / before).above(JUMP).and_(enough),
            "1h",
            f"a language's words of {NOW_WINDOW} cost over {JUMP:g} times what they did in the {PAST_WINDOW} before, "
            f"with {FEWEST_WORDS:,} words in each",
            '1,000 words in {{ $labels.language }} cost {{ $value | printf "%.2f" }} times what they did',
            "USD by words read and written in {{ $labels.language }}, against the same language's past week: other "
            "models answer, prices changed, or answers grew.",
            ("languages", "cost-per-1000-words"),
        ),
        Alert(
            "ParlanceBudgetNearlySpent",
            Severity.TICKET,
            (spent / budget).above(NEARLY),
            "5m",
            f"a tenant spent over {NEARLY:.0%} of its budget",
            "{{ $labels.tenant }} has spent {{ $value | humanizePercentage }} of its budget",
            "At 100% the requests of {{ $labels.tenant }} are refused until the period ends.",
            ("tenants", "budget-used"),
        ),
        Alert(
            "ParlanceLedgerLagging",
            Severity.TICKET,
            aggregate("max", series(metrics.LEDGER_LAG), "instance").above(LATE_ROWS_S),
            "5m",
            f"a row has waited for over {LATE_ROWS_S} s to be written",
            "The ledger of {{ $labels.instance }} lags by {{ $value | humanizeDuration }}",
            "Rows of {{ $labels.instance }} wait to be written. Requests go on; what is pending is lost if the "
            "machine is.",
            ("tenants", "ledger-lag"),
        ),
        Alert(
            "ParlanceLedgerFailing",
            Severity.TICKET,
            increase(metrics.LEDGER_FAILURES, "15m").by("instance").above(0),
            "5m",
            "the ledger failed to write within 15m",
            "The ledger of {{ $labels.instance }} failed to write {{ $value | humanize }} times in 15 minutes",
            "Batches of {{ $labels.instance }} are kept and tried again: the disk is full, or the database is not "
            "reached.",
            ("tenants", "ledger-failures"),
        ),
    )
