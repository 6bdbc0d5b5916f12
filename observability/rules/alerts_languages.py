"""Alerts on languages: replies in the wrong one, and texts that became other numbers of tokens than expected."""

from __future__ import annotations

from observability import metrics
from observability.promql import aggregate, increase, series
from observability.rules.rule import Alert, Severity

WRONG_SHARE = 0.05
FEWEST_CHECKED = 50
FEWEST_WRONG = 5
DRIFT = 0.15


def alerts() -> tuple[Alert, ...]:
    """By model and language."""
    wrong = increase(metrics.WRONG_LANGUAGE, "6h").by("model", "language")
    checked = increase(metrics.REPLIES_CHECKED, "6h").by("model", "language")
    # 1 means that nothing has been learnt: a worker that just began is no drift.
    learnt = series(metrics.TOKEN_RATIO)
    ratio = aggregate("avg", learnt.differs(1), "model", "language")
    yesterday = aggregate("avg", learnt.ago("1d").differs(1), "model", "language")
    return (
        Alert(
            "ParlanceWrongLanguage",
            Severity.TICKET,
            (wrong / checked)
            .above(WRONG_SHARE)
            .and_(checked.at_least(FEWEST_CHECKED))
            .and_(wrong.at_least(FEWEST_WRONG)),
            "30m",
            f"over {WRONG_SHARE:.0%} of a model's replies in a language were in another in 6h, of at least "
            f"{FEWEST_CHECKED} checked, and at least {FEWEST_WRONG}",
            "{{ $labels.model }} answers {{ $value | humanizePercentage }} of {{ $labels.language }} in another "
            "language",
            "Replies of {{ $labels.model }} that should have been in {{ $labels.language }} were told to be in "
            "another.",
            ("languages", "wrong-language"),
        ),
        Alert(
            "ParlanceFertilityDrift",
            Severity.INFO,
            (ratio / yesterday - 1).absolute().above(DRIFT),
            "1h",
            f"the learnt ratio of counted to expected tokens moved by over {DRIFT:.0%} in a day",
            "Tokens of {{ $labels.language }} on {{ $labels.model }} moved by {{ $value | humanizePercentage }} in a "
            "day",
            "Texts in {{ $labels.language }} became another number of tokens on {{ $labels.model }} than a day ago: "
            "another tokenizer or template answers under the same name, or the texts have changed.",
            ("languages", "token-ratio"),
        ),
    )
