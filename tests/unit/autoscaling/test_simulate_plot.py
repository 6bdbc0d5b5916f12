"""The picture of a simulation: drawn where it can be, and one sentence where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoscaling.simulate import plot
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.outcome import Minute, ModelOutcome, Outcome
from autoscaling.simulate.report import Setting
from autoscaling.simulate.traces import Trace, Window
from serve.errors import LocalError
from serve.fleet.slo import Slo

pytestmark = pytest.mark.unit

HOUR = 3600.0


def setting(hours: float) -> Setting:
    return Setting("f", {"m": Trace("t.csv", (Window(0, hours * HOUR, 1, 1, 1, 1),))}, Conditions(), "fluid", Slo())


def outcome(policy: str, hours: int) -> Outcome:
    minutes = tuple(
        Minute(60 * n, 100, 100 + n % 60, 0.5 if n % 50 == 7 else 1.0, 0, 3 + n // 60 % 4, 3, 4)
        for n in range(60 * hours)
    )
    model = ModelOutcome("m", 6000, 0.99, 1, 1, 0.1, 0.2, 0.1, 0.2, 4, 16, 0, 0, 0, minutes)
    return Outcome(policy, hours * HOUR, 1, {"m": model})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The figures that were closed."""
    pyplot = plot._pyplot()
    closed: list[object] = []
    close = pyplot.close

    def keep(figure: object = None) -> None:
        closed.append(figure)
        close(figure)

    monkeypatch.setattr(pyplot, "close", keep)
    return closed


def test_each_policy_has_its_axes_below_the_load(tmp_path: Path, drawn: list[object]) -> None:
    path = tmp_path / "p.png"
    plot.draw(setting(5), [outcome("slo", 5), outcome("keda", 5)], path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    [figure] = drawn
    load, first, second = figure.axes  # type: ignore[attr-defined]
    assert load.get_xlim() == second.get_xlim() == (0, 5)
    assert second.get_xlabel() == "hours since the trace's begin"
    assert first.get_title(loc="left") == "slo: 99.00% within the objectives, 4 GPU-hours, 16 USD"
    serving, planned = first.get_lines()
    assert list(serving.get_ydata()) == [3] * 300
    assert max(planned.get_ydata()) == 6
    [marks] = [one for one in first.collections if type(one).__name__ == "LineCollection"]
    assert len(marks.get_segments()) == 6  # minutes 7, 57, ... 257


def test_long_traces_are_told_in_days(tmp_path: Path, drawn: list[object]) -> None:
    plot.draw(setting(72), [outcome("slo", 72)], tmp_path / "p.svg")
    [figure] = drawn
    assert figure.axes[-1].get_xlabel() == "days since the trace's begin"  # type: ignore[attr-defined]
    assert figure.axes[-1].get_xlim() == (0, 3)  # type: ignore[attr-defined]


def test_a_run_shorter_than_a_minute_is_drawn(tmp_path: Path) -> None:
    plot.draw(setting(0.01), [outcome("slo", 0)], tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 0


def test_no_more_than_four_are_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 outcomes: 1 to 4"):
        plot.draw(setting(1), [outcome(f"p{n}", 1) for n in range(5)], tmp_path / "p.png")


def test_minutes_fall_short_below_the_attainment() -> None:
    course = [Minute(0, 10, 0, met, 0, 1, 1, 1) for met in (1.0, 0.99, 0.98)]
    assert plot.short_minutes(course, 0.99) == course[2:]


def test_where_no_picture_can_be_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plot.check(tmp_path / "p.PNG")
    with pytest.raises(LocalError, match=r"p.doc: a picture's name ends in one of .*\.png"):
        plot.check(tmp_path / "p.doc")
    with pytest.raises(LocalError, match="there is no folder"):
        plot.check(tmp_path / "none" / "p.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LocalError, match="with its extra `report`"):
        plot.check(tmp_path / "p.png")
