"""The shifts of load in force at one worker: taken from the autoscaler's plan every few seconds, off the data path.

What routing does with them is `serve.routing.shifts`. Without a plan that can be believed there are none: requests then
go where routing alone sends them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from enum import StrEnum
from math import isfinite
from time import time
from typing import Any, NamedTuple

import msgspec

from serve.fleet import Fleet
from serve.gateway.instruments import Instruments
from serve.gateway.instruments.families import NONE
from serve.gateway.plan_reader import LastPlan, PlanReader
from serve.routing.records import Shift
from serve.routing.shifts import NO_SHIFTS, Shifts
from serve.routing.tags import normal

log = logging.getLogger("parlance.gateway")

# A plan is stale after so many rounds of the autoscaler, and the time that one may take.
ROUNDS = 3
GRACE_S = 15.0
MAX_SHIFTS = 10_000
# Shares are published with six digits: those of one model may add up to a little more than 1.
MOST_TOGETHER = 1.0001


class Flaw(StrEnum):
    """Why a plan is of no use to routing."""

    UNREACHABLE = "unreachable"  # no answer, or none with a plan in it
    MALFORMED = "malformed"
    UNKNOWN_MODEL = "unknown_model"  # it is made for another description
    STALE = "stale"


class Unusable(Exception):
    """A plan that routing must not follow."""

    def __init__(self, flaw: Flaw, words: str) -> None:
        super().__init__(words)
        self.flaw = flaw


class _Shift(msgspec.Struct):
    language: str
    source: str = msgspec.field(name="from")
    to: str
    share: float


class _Plan(msgspec.Struct):
    """The part of /plan that routing reads."""

    age_s: float | None
    dry_run: bool = False
    shifts: list[_Shift] = []


class Told(NamedTuple):
    """What a plan says: its shifts, and its age in seconds when it was read."""

    shifts: Shifts
    age_s: float


def told_by(plan: dict[str, Any], models: Collection[str]) -> Told | None:
    """The shifts of a plan; None: there is none yet (no round has ended, or another autoscaler leads).

    Of a dry run they are none: it changes nothing. Raises Unusable: one wrong shift spoils the plan, for it was made as
    a whole.
    """
    try:
        read = msgspec.convert(plan, _Plan)
    except msgspec.ValidationError as error:
        raise Unusable(Flaw.MALFORMED, str(error)) from error
    if read.age_s is None:
        return None
    if not (isfinite(read.age_s) and read.age_s >= 0):
        raise Unusable(Flaw.MALFORMED, f"age_s: {read.age_s} is no age")
    if len(read.shifts) > MAX_SHIFTS:
        raise Unusable(Flaw.MALFORMED, f"shifts: {len(read.shifts)} of them, at most {MAX_SHIFTS} are allowed")
    found: dict[str, list[Shift]] = {}
    for number, one in enumerate(read.shifts):
        found.setdefault(_language(one, number), []).append(_checked(one, number, models))
    for language, shifts in found.items():
        _together(language, shifts)
    if read.dry_run:
        return Told(NO_SHIFTS, read.age_s)
    return Told({language: tuple(shifts) for language, shifts in found.items()}, read.age_s)


def _language(one: _Shift, number: int) -> str:
    language = normal(one.language)
    if language is None:
        raise Unusable(Flaw.MALFORMED, f"shifts[{number}].language: {one.language[:60]!r} is no BCP-47 tag")
    return language


def _checked(one: _Shift, number: int, models: Collection[str]) -> Shift:
    for field, model in (("from", one.source), ("to", one.to)):
        if model not in models:
            raise Unusable(Flaw.UNKNOWN_MODEL, f"shifts[{number}].{field}: {model[:80]!r} is no model of this fleet")
    if one.source == one.to:
        raise Unusable(Flaw.MALFORMED, f"shifts[{number}]: from {one.source} to itself")
    if not 0 < one.share <= 1:  # NaN is not either
        raise Unusable(Flaw.MALFORMED, f"shifts[{number}].share: {one.share} is out of range: above 0, at most 1")
    return Shift(one.source, one.to, one.share)


def _together(language: str, shifts: list[Shift]) -> None:
    shares: dict[str, float] = {}
    for shift in shifts:
        shares[shift.source] = shares.get(shift.source, 0.0) + shift.share
    if len({(shift.source, shift.to) for shift in shifts}) < len(shifts):
        raise Unusable(Flaw.MALFORMED, f"shifts in {language}: two between the same models")
    for source, share in shares.items():
        if share > MOST_TOGETHER:
            raise Unusable(Flaw.MALFORMED, f"shifts in {language} from {source}: {share:g} together, at most 1")


class ShiftWatch:
    """Keeps `table` true to the plan. A plan stays in force while the next one cannot be read, until it is stale."""

    def __init__(self, fleet: Fleet, reader: PlanReader, instruments: Instruments) -> None:
        settings = fleet.gateway.shifts
        self.table: Shifts = NO_SHIFTS
        self.planned_at: float | None = None  # when the plan in force was made, in seconds since the epoch
        self._settings = settings
        self._stale_after_s = settings.stale_after_s or ROUNDS * fleet.autoscaling.interval_s + GRACE_S
        self._models = frozenset(model.id for model in fleet.models)
        self._reader = reader
        self._show = instruments
        self._made = float("-inf")  # when the plan in force was made, in the loop's time
        self._in_force: Shifts = NO_SHIFTS
        self._flaw: Flaw | None = None  # that was told of last
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to read plans, where there are any."""
        if self._reader.url is not None and self._settings.enabled:
            self._task = asyncio.create_task(self._run(), name="shifts")

    async def stop(self) -> None:
        """Ends that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.take(await self._reader.last(), asyncio.get_running_loop().time())
            await asyncio.sleep(self._settings.interval_s)

    def take(self, last: LastPlan, now: float) -> None:
        """Follows what was read of the plan; `now` is the loop's time."""
        flaw: Unusable | None = None
        try:
            if last.problem is not None:
                raise Unusable(Flaw.UNREACHABLE, last.problem)
            assert last.plan is not None
            told = told_by(last.plan, self._models)
            if told is not None:
                self._in_force, self._made = told.shifts, last.read - told.age_s
                self.planned_at = (last.read_at or time()) - told.age_s
        except Unusable as error:
            flaw = error
            if error.flaw is not Flaw.UNREACHABLE:
                self._in_force, self._made, self.planned_at = NO_SHIFTS, float("-inf"), None
        if self._made > float("-inf") and now - self._made > self._stale_after_s:
            words = f"it is {now - self._made:.0f} s old, at most {self._stale_after_s:g} s are allowed"
            flaw = Unusable(Flaw.STALE, f"{words}; {flaw}" if flaw else words)
            self._in_force = NO_SHIFTS
        self.table = self._in_force
        self._tell(flaw)

    def _tell(self, flaw: Unusable | None) -> None:
        if flaw is not None:
            self._show.plan_flaws.add((flaw.flaw.value,))
        self._show.shifts.set(NONE, sum(map(len, self.table.values())))
        now = flaw.flaw if flaw is not None else None
        if now is not self._flaw:
            self._flaw = now
            if flaw is None:
                log.info("the autoscaler's plan is read again")
            else:
                force = "its shifts stay in force until it is stale" if self.table else "no load is shifted"
                log.warning("the autoscaler's plan at %s is %s: %s; %s", self._reader.url, now, flaw, force)
