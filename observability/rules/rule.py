"""What a rule is: a recording or an alert, over expressions that know their labels and metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from observability.promql import Expr

_NAME = re.compile(r"[a-z]+:[a-z0-9_]+:[a-z0-9_]+")
_LABEL = re.compile(r"\$labels\.([A-Za-z_]\w*)")


class Severity(StrEnum):
    """Who hears of it, and when."""

    PAGE = "page"  # a person, now: clients are failing or about to
    TICKET = "ticket"  # a person, in working hours
    INFO = "info"  # nobody: it explains others, and stands on dashboards


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule. `name` is level:metric:operations, as Prometheus' practices have it."""

    name: str
    expr: Expr

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no recording rule's name: level:metric:operations")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert. Raises ValueError where its texts use a label that the expression does not have.

    `hold` is how long the expression must be true ("0m": at once). `panel` is (dashboard, panel) of
    `observability.dashboards.links`. `labels` stand beside `severity`, and tell rules of one name apart.
    `when` says in words what the expression says, for the table of alerts.
    """

    name: str
    severity: Severity
    expr: Expr
    hold: str
    when: str
    summary: str
    description: str
    panel: tuple[str, str]
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.expr.labels is None:
            raise ValueError(f"{self.name}: the labels of {self.expr} are not known")
        known = {*self.expr.labels, *self.labels, "severity"}
        for text in (self.summary, self.description):
            if missing := [label for label in _LABEL.findall(text) if label not in known]:
                raise ValueError(f"{self.name}: {', '.join(missing)} is no label of its result: {sorted(known)}")
