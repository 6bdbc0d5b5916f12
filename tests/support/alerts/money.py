"""Cost by language, budgets, the ledger."""

from __future__ import annotations

from observability import metrics
from tests.support.alerts.case import Case, Expected, Fires, Input, Quiet, given

TICKET = {"severity": "ticket"}


def _language(usd: str, words: str, language: str = "nb", worker: str = "a:1") -> tuple[Input, ...]:
    return (
        given(metrics.COST, usd, model="m", language=language, instance=worker),
        given(metrics.WORDS, words, model="m", language=language, direction="output", instance=worker),
    )


def _budget(spent: str, worker: str = "a:1") -> tuple[Input, ...]:
    return (
        given(metrics.BUDGET, "100x60", tenant="acme", instance=worker),
        given(metrics.BUDGET_SPENT, spent, tenant="acme", instance=worker),
    )


CASES: tuple[Case, ...] = (
    Fires(
        "ParlanceCostPerWordJumped",
        "after a day at 1 it is twice as much: half of six hours at 2, and an hour's mean",
        (*_language("0+1x288 288+2x144", "0+1000x432"), *_language("0+1x432", "0+1000x432", "sv")),
        "27h40m",
        (Expected({**TICKET, "language": "nb"}, "1,000 words in nb cost 1.66 times what they did"),),
        interval="5m",
    ),
    Quiet(
        "ParlanceCostPerWordJumped",
        "1.45 times as much, and as many words again",
        (*_language("0+10x288 2880+29x144", "0+1000x288 288000+2000x144"),),
        ("30h", "36h"),
        interval="5m",
    ),
    Quiet(
        "ParlanceCostPerWordJumped",
        "too few words now",
        _language("0+1x288 288+3x144", "0+1000x288 288000+100x144"),
        ("31h", "36h"),
        interval="5m",
    ),
    Quiet(
        "ParlanceCostPerWordJumped",
        "a language that has no past",
        _language("0+3x60", "0+1000x60"),
        ("4h",),
        interval="5m",
    ),
    Quiet(
        "ParlanceCostPerWordJumped",
        "a restart",
        _language("900+1x288 0+1x144", "900000+1000x288 0+1000x144"),
        ("25h", "31h"),
        interval="5m",
    ),
    Fires(
        "ParlanceBudgetNearlySpent",
        "91 of 100 USD; two workers say the same",
        (*_budget("60x9 91x30"), *_budget("60x9 91x30", "b:1")),
        "10m",
        (Expected({**TICKET, "tenant": "acme"}, "acme has spent 91% of its budget"),),
    ),
    Quiet("ParlanceBudgetNearlySpent", "89 of 100 USD", _budget("89x60"), ("30m",)),
    Quiet("ParlanceBudgetNearlySpent", "a new period", _budget("95x3 0x60"), ("5m", "30m")),
    Quiet(
        "ParlanceBudgetNearlySpent",
        "no limit",
        (given(metrics.BUDGET_SPENT, "1000x60", tenant="acme"),),
        ("30m",),
    ),
    Fires(
        "ParlanceLedgerLagging",
        "a row waits for 61 s",
        (given(metrics.LEDGER_LAG, "1x9 61x30"),),
        "10m",
        (Expected({**TICKET, "instance": "a:1"}, "The ledger of a:1 lags by 1m 1s"),),
    ),
    Quiet("ParlanceLedgerLagging", "59 s", (given(metrics.LEDGER_LAG, "59x60"),), ("30m",)),
    Fires(
        "ParlanceLedgerFailing",
        "one batch fails",
        (given(metrics.LEDGER_FAILURES, "0x9 1x30"),),
        "10m",
        (Expected({**TICKET, "instance": "a:1"}, "The ledger of a:1 failed to write 1 times in 15 minutes"),),
    ),
    Quiet("ParlanceLedgerFailing", "none fails", (given(metrics.LEDGER_FAILURES, "7x60"),), ("30m",)),
    Quiet("ParlanceLedgerFailing", "a restart", (given(metrics.LEDGER_FAILURES, "7x9 0x60"),), ("10m", "12m", "30m")),
)
