"""Values as a person reads them: the forms in which Grafana writes a number of each scale."""

from __future__ import annotations

import math

from observability.dashboards.panel import Scale

_SECONDS = (
    (86_400.0, "d", 86_400.0), (3_600.0, "h", 3_600.0), (60.0, "min", 60.0), (1.0, "s", 1.0), (1e-3, "ms", 1e-3),
    (1e-6, "µs", 1e-6),
)  # fmt: skip
_LARGE = ((1e9, "B"), (1e6, "M"), (1e3, "K"))
_BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_RATES = {Scale.REQUESTS_PER_SECOND: " req/s", Scale.PER_SECOND: "/s"}


def written(value: float, scale: Scale) -> str:
    """The value with its unit, in three digits: 0.00025 of seconds is 250 µs."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    sign, size = ("-" if value < 0 else ""), abs(value)
    match scale:
        case Scale.SECONDS:
            return sign + _seconds(size)
        case Scale.USD:
            return f"{sign}${_short(size)}"
        case Scale.SHARE:
            return f"{sign}{digits(100 * size)}%"
        case Scale.PERCENT:
            return f"{sign}{digits(size)}%"
        case Scale.BYTES:
            return sign + _bytes(size)
        case Scale.NUMBER:
            return sign + digits(size)
        case _:
            return f"{sign}{_short(size)}{_RATES.get(scale, '')}"


def digits(value: float) -> str:
    """Three significant digits, more before the point, none of them a trailing zero behind it."""
    if value == 0:
        return "0"
    behind = max(0, 2 - math.floor(math.log10(value)))
    text = f"{value:.{behind}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _seconds(size: float) -> str:
    for least, name, unit in _SECONDS:
        if size >= least:
            return f"{digits(size / unit)} {name}"
    return "0 s" if size == 0 else f"{digits(size * 1e9)} ns"


def _bytes(size: float) -> str:
    for unit, name in _BYTES:
        if size >= unit:
            return f"{digits(size / unit)} {name}"
    return f"{digits(size)} B"


def _short(size: float) -> str:
    for unit, name in _LARGE:
        if size >= unit:
            return f"{digits(size / unit)}{name}"
    return digits(size)
