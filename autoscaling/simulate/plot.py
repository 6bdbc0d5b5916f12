"""The course of simulated policies as a picture: what came above, and below what each policy planned and held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from autoscaling.simulate.outcome import Minute, Outcome
from autoscaling.simulate.report import DAY_S, HOUR_S, Setting, minutes, missed
from serve.errors import LocalError

# More would be too flat to read.
MOST_POLICIES: Final = 4
MINUTE_S: Final = 60.0

# Okabe and Ito's colours, told apart with every kind of colour blindness; lines differ in stroke, too.
_LOAD, _HELD, _SERVING, _PLAN, _MISSED = "#4d4d4d", "#c9dcec", "#0072b2", "#000000", "#d55e00"
_TEXT, _QUIET, _GRID = "#24292e", "#666b73", "#e7e8ea"


def check(path: Path) -> None:
    """Raises LocalError where no picture could be written there: no matplotlib, no such format or folder."""
    pyplot = _pyplot()
    formats = pyplot.figure().canvas.get_supported_filetypes()
    pyplot.close()
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in formats:
        raise LocalError(f"{path}: a picture's name ends in one of .{', .'.join(sorted(formats))}")
    if not path.absolute().parent.is_dir():
        raise LocalError(f"{path}: there is no folder {path.absolute().parent}")


def draw(setting: Setting, outcomes: Sequence[Outcome], path: Path) -> None:
    """Writes the picture of at most MOST_POLICIES outcomes, which have minutes. Several models are added up.

    Raises LocalError where it cannot be written, ValueError for other numbers of outcomes.
    """
    if not 1 <= len(outcomes) <= MOST_POLICIES:
        raise ValueError(f"{len(outcomes)} outcomes: 1 to {MOST_POLICIES} can be drawn")
    pyplot = _pyplot()
    courses = [minutes(outcome) for outcome in outcomes]
    unit, name = (DAY_S, "days") if setting.seconds > 2 * DAY_S else (HOUR_S, "hours")
    with pyplot.rc_context(_STYLE):
        figure, every = pyplot.subplots(
            1 + len(outcomes), 1, sharex=True, figsize=(12, 2.1 + 1.7 * len(outcomes)), dpi=150, layout="constrained"
        )
        _load(every[0], courses[0], unit)
        every[0].set_title(_heading(setting), loc="left", fontsize=9, fontweight="bold")
        highest = max((minute.held for course in courses for minute in course), default=1)
        for axes, outcome, course in zip(every[1:], outcomes, courses, strict=True):
            _policy(axes, course, unit, setting.slo.attainment, highest)
            axes.set_title(_title(outcome), loc="left", fontsize=8.5)
        every[-1].set_xlabel(f"{name} since the trace's begin")
        every[-1].set_xlim(0, setting.seconds / unit)
        figure.legend(*_key(every[1:], setting.slo.attainment), loc="outside lower center", ncols=4, frameon=False)
        try:
            figure.savefig(path, metadata={"Software": None} if path.suffix == ".png" else None)
        except (OSError, ValueError) as error:
            raise LocalError(f"{path}: the picture cannot be written: {error}") from error
        finally:
            pyplot.close(figure)


_STYLE: Final[dict[str, Any]] = {
    "font.size": 8,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "path.simplify": True,
    "agg.path.chunksize": 10_000,
}


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise LocalError(
            "a picture needs matplotlib, which is not installed: install parlance with its extra `report`"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _load(axes: Any, course: Sequence[Minute], unit: float) -> None:
    at = [minute.at_s / unit for minute in course]
    axes.fill_between(at, [minute.work for minute in course], step="post", color=_LOAD, alpha=0.75, linewidth=0)
    axes.set_ylabel("work arriving\n(output tokens/s)")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _policy(axes: Any, course: Sequence[Minute], unit: float, attainment: float, highest: int) -> None:
    """Its replicas, and a mark for each minute that fell short, as high as many requests missed."""
    at = [minute.at_s / unit for minute in course]
    axes.fill_between(at, [m.held for m in course], step="post", color=_HELD, linewidth=0, label="held, and paid")
    steps = {"drawstyle": "steps-post"}
    axes.plot(at, [m.serving for m in course], color=_SERVING, linewidth=1.7, label="serving", **steps)
    axes.plot(at, [m.wanted for m in course], color=_PLAN, linewidth=0.6, label="plan", **steps)
    short = short_minutes(course, attainment)
    most = max((missed(minute) for minute in short), default=1.0)
    # A strip below zero; the least mark is a fifth of it, so that it is seen.
    bottom, strip = -0.16 * highest, 0.12 * highest
    axes.vlines(
        [(minute.at_s + MINUTE_S / 2) / unit for minute in short],
        bottom,
        [bottom + strip * max(missed(minute) / most, 0.2) for minute in short],
        color=_MISSED,
        linewidth=1.0,
    )
    axes.set_ylim(bottom, 1.08 * highest)
    axes.set_ylabel("replicas")
    axes.yaxis.get_major_locator().set_params(integer=True)


def short_minutes(course: Sequence[Minute], attainment: float) -> list[Minute]:
    """The minutes in which a smaller share of the requests than `attainment` met the objectives."""
    return [minute for minute in course if minute.met < attainment]


def _key(every: Sequence[Any], attainment: float) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles, labels = every[0].get_legend_handles_labels()
    mark = Line2D([], [], color=_MISSED, marker="|", linestyle="none", markersize=7)
    return [*handles, mark], [*labels, f"minute with less than {attainment:.4g} met; its height: how many missed"]


def _heading(setting: Setting) -> str:
    whose = ", ".join(f"{trace.name} at {model}" for model, trace in setting.traffic.items())
    return f"{whose}: cold starts of {setting.conditions.cold_start_s:g} s"


def _title(outcome: Outcome) -> str:
    return (
        f"{outcome.policy}: {outcome.met:.2%} within the objectives, {outcome.gpu_hours:,.0f} GPU-hours, "
        f"{outcome.usd:,.0f} USD"
    )
