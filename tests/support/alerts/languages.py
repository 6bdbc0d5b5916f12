"""Replies in the wrong language, and tokens that drift."""

from __future__ import annotations

from observability import metrics
from tests.support.alerts.case import Case, Expected, Fires, Input, Quiet, given

TICKET, INFO = {"severity": "ticket"}, {"severity": "info"}
HERE = {"model": "m", "language": "nn"}


def _replies(checked: str, wrong: str, worker: str = "a:1") -> tuple[Input, ...]:
    return (
        given(metrics.REPLIES_CHECKED, checked, instance=worker, **HERE),
        given(metrics.WRONG_LANGUAGE, wrong, instance=worker, **HERE),
    )


def _ratio(values: str, worker: str = "a:1") -> Input:
    return given(metrics.TOKEN_RATIO, values, instance=worker, **HERE)


CASES: tuple[Case, ...] = (
    Fires(
        "ParlanceWrongLanguage",
        "6 of 100",
        _replies("0+100x120", "0+6x120"),
        "1m",
        (Expected({**TICKET, **HERE}, "m answers 6% of nn in another language"),),
    ),
    Fires(
        "ParlanceWrongLanguage",
        "two workers add up: 3 wrong replies each",
        (*_replies("0x60 0+3x10 30x60", "0x60 0+1x3 3x70"), *_replies("0x60 0+3x10 30x60", "0x60 0+1x3 3x70", "b:1")),
        "70m",
        (Expected({**TICKET, **HERE}, "m answers 10% of nn in another language"),),
    ),
    Quiet("ParlanceWrongLanguage", "49 of 1,000", _replies("0+1000x120", "0+49x120"), ("10m", "2h")),
    Quiet(
        "ParlanceWrongLanguage",
        "too few were checked: 40",
        _replies("0x60 0+2x20 40x60", "0x60 0+1x20 20x60"),
        ("80m", "2h"),
    ),
    Quiet(
        "ParlanceWrongLanguage",
        "too few were wrong: 4 of 60",
        _replies("0x60 0+3x20 60x60", "0x60 0+1x4 4x60"),
        ("70m", "2h"),
    ),
    Quiet("ParlanceWrongLanguage", "a restart", _replies("9000x30 0x60", "9000x30 0x60"), ("30m", "32m", "80m")),
    Quiet("ParlanceWrongLanguage", "no series at all", (), ("10m",)),
    Fires(
        "ParlanceFertilityDrift",
        "a day after 1.1 it is 1.3: another tokenizer answers",
        (_ratio("1.1x300 1.3x100"),),
        "25h5m",
        (Expected({**INFO, **HERE}, "Tokens of nn on m moved by 18.18% in a day"),),
        interval="5m",
    ),
    Quiet("ParlanceFertilityDrift", "from 1.1 to 1.2", (_ratio("1.1x300 1.2x100"),), ("26h", "30h"), interval="5m"),
    Quiet(
        "ParlanceFertilityDrift",
        "learning has begun: 1 was no figure",
        (_ratio("1x300 1.4x100"),),
        ("26h", "30h"),
        interval="5m",
    ),
    Quiet(
        "ParlanceFertilityDrift",
        "a second worker begins without figures",
        (_ratio("1.4x400"), _ratio("_x300 1x100", "b:1")),
        ("26h", "30h"),
        interval="5m",
    ),
)
