"""The day or month that a budget is for, in UTC: budgets must not depend on where a gateway stands."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

DAY_S = 86_400


class Every(StrEnum):
    """How often a budget begins anew."""

    DAY = "day"
    MONTH = "month"


class Period(msgspec.Struct, frozen=True):
    """`first_day` up to but without `last_day`, in days since 1970-01-01."""

    first_day: int
    last_day: int

    @property
    def start(self) -> float:
        """Its first second since the epoch."""
        return float(self.first_day * DAY_S)

    @property
    def end(self) -> float:
        """The first second since the epoch that is no longer in it."""
        return float(self.last_day * DAY_S)

    @property
    def name(self) -> str:
        """2026-11 for a month, 2026-11-22 for a day."""
        day = datetime.fromtimestamp(self.start, UTC)
        return day.strftime("%Y-%m-%d" if self.last_day - self.first_day == 1 else "%Y-%m")


def day_of(at: float) -> int:
    """The UTC day of a time in seconds since the epoch."""
    return int(at // DAY_S)


def period_of(every: Every, at: float) -> Period:
    """The period that holds a time in seconds since the epoch."""
    if every is Every.DAY:
        return Period(day_of(at), day_of(at) + 1)
    first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Period(day_of(first.timestamp()), day_of(following.timestamp()))
