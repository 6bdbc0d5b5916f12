"""Pictures: what a Prometheus answers becomes series, values are written as Grafana does, and every kind of panel is
drawn without a text on another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from observability import dashboards, metrics
from observability.dashboards import picture
from observability.dashboards.asking import buckets, each_second, in_range
from observability.dashboards.panel import Colour, Dashboard, Kind, Panel, Query, Row, Scale, State, Threshold
from observability.dashboards.picture import THEMES, Box, Canvas, draw
from observability.dashboards.samples import Range, Series, fetch, last_minutes, prometheus
from observability.dashboards.scales import written
from serve.errors import LocalError

pytestmark = pytest.mark.unit

SHOWN = Range(0, 600, 60, "60s")
MODELS = ("a", "a-model-with-a-very-long-name-that-no-tile-has-room-for", "c")


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0.00025, Scale.SECONDS, "250 µs"),
        (2.5, Scale.SECONDS, "2.5 s"),
        (90, Scale.SECONDS, "1.5 min"),
        (200_000, Scale.SECONDS, "2.31 d"),
        (0, Scale.SECONDS, "0 s"),
        (2e-9, Scale.SECONDS, "2 ns"),
        (0.000123456, Scale.USD, "$0.000123"),
        (-1234, Scale.USD, "-$1.23K"),
        (0.995, Scale.SHARE, "99.5%"),
        (12.34, Scale.PERCENT, "12.3%"),
        (3 * 2**30, Scale.BYTES, "3 GiB"),
        (12, Scale.BYTES, "12 B"),
        (1500, Scale.COUNT, "1.5K"),
        (1234567, Scale.NUMBER, "1234567"),
        (0.5, Scale.REQUESTS_PER_SECOND, "0.5 req/s"),
        (20, Scale.PER_SECOND, "20/s"),
        (math.nan, Scale.USD, "-"),
        (math.inf, Scale.SECONDS, "∞"),
        (-math.inf, Scale.SECONDS, "-∞"),
    ],
)
def test_values_are_written_in_three_digits_with_their_unit(value: float, scale: Scale, text: str) -> None:
    assert written(value, scale) == text


def answer(expression: str, start: float, end: float, step: float) -> Sequence[Mapping[str, Any]]:
    """A Prometheus in which three models and twelve buckets do something."""
    times = [start + step * n for n in range(round((end - start) / step) + 1)]
    if "_bucket" in expression:
        return [
            {"metric": {"le": le}, "values": [[when, str(number * (1 + when % 7))] for when in times]}
            for number, le in enumerate(("0.001", "0.01", "0.1", "+Inf"))
        ]
    return [
        {"metric": {"model": model}, "values": [[when, str(number + when / 600)] for when in times]}
        for number, model in enumerate(MODELS)
    ]


def nothing(_expression: str, _start: float, _end: float, _step: float) -> Sequence[Mapping[str, Any]]:
    return []


COUNTED = in_range(metrics.REQUESTS, "model")
COLUMNS = (Query(COUNTED, "Requests"), Query(COUNTED, "Cost", Scale.USD))
LIMIT = (Threshold(1, Colour.WARN),)
BY_MODEL = Query(each_second(metrics.REQUESTS, "model"), "{{model}}")
PANELS = (
    Panel("lines", "Lines", "x", (BY_MODEL,), thresholds=(Threshold(1.5, Colour.BAD),), scale=Scale.SECONDS),
    Panel("stacked", "Stacked", "x", (BY_MODEL,), stacked=True),
    Panel("logarithmic", "Logarithmic", "x", (BY_MODEL,), logarithmic=True, scale=Scale.SECONDS),
    Panel("stat", "Stat", "x", (BY_MODEL,), Kind.STAT, Scale.REQUESTS_PER_SECOND),
    Panel("states", "States", "x", (BY_MODEL,), Kind.STAT, states=(State(1, "one", Colour.GOOD),)),
    Panel("bars", "Bars", "x", (Query(COUNTED, "{{model}}"),), Kind.BARS, height=4, thresholds=LIMIT),
    Panel("heat", "Heat", "x", (Query(buckets(metrics.TTFT), "{{le}}"),), Kind.HEATMAP),
    Panel("table", "Table", "x", COLUMNS, Kind.TABLE, key="model"),
    Panel("low", "A title that is far too long for a panel of four columns", "x", (BY_MODEL,), width=4, height=4),
)  # fmt: skip
DASHBOARD = Dashboard("ray", "Drawn", "x", (), (Row("Row", PANELS),))


SMALL = Dashboard("ray", "Drawn", "x", (), (Row("Row", PANELS[:1]),))


def drawing(path: Path, ask: Any, dashboard: Dashboard, theme: str = "dark") -> Any:
    """Draws, and gives the figure as it was saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **words: Any) -> None:
        saved.append(figure)
        save(figure, *args, **words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", keep)
        draw(dashboard, ask, path, SHOWN, theme)
    return saved[-1]


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every kind of panel, drawn once."""
    return drawing(tmp_path_factory.mktemp("picture") / "x.png", answer, DASHBOARD)


def test_every_kind_is_drawn(figure: Any) -> None:
    texts = [text.get_text() for text in figure.texts]
    assert {"Drawn", "Lines", "Table", "$1", "one"} <= set(texts)  # `one`: the state's name, not its number
    assert any(text.endswith("…") for text in texts)
    assert len(figure.axes) >= 7


def test_no_text_lies_on_another(figure: Any) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts if text.get_text()]
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 1 or high <= 2, f"{one!r} lies on {other!r}"


def test_the_same_samples_give_the_same_bytes_and_another_theme_others(tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"]
    for path, theme in zip(files, ("dark", "dark", "light"), strict=True):
        draw(SMALL, answer, path, SHOWN, theme)
    first, again, light = (path.read_bytes() for path in files)
    assert first.startswith(b"\x89PNG")
    assert first == again != light


def test_a_panel_without_samples_says_what_has_not_happened(tmp_path: Path) -> None:
    texts = [text.get_text() for text in drawing(tmp_path / "x.png", nothing, dashboards.dashboards()[6]).texts]
    assert "no budgets" in texts
    assert "no data" in texts


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be written"):
        draw(SMALL, nothing, tmp_path / "missing" / "x.png", SHOWN)
    with pytest.raises(ValueError, match="no theme: dark, light"):
        draw(SMALL, nothing, tmp_path / "x.png", SHOWN, "blue")


def test_series_have_the_legends_name_and_no_nan() -> None:
    asked: list[tuple[str, float, float, float]] = []

    def ask(*words: Any) -> Sequence[Mapping[str, Any]]:
        asked.append(words)
        return [{"metric": {"model": "m"}, "values": [[0, "NaN"], [60, "2"]]}, {"metric": {}, "values": [[0, "NaN"]]}]

    assert fetch(PANELS[0], ask, SHOWN) == [Series("m", 0, {"model": "m"}, ((60.0, 2.0),))]
    fetch(PANELS[5], ask, SHOWN)
    assert "[60s]" in asked[0][0]
    assert asked[0][1:] == (0, 600, 60)
    assert "[600s]" in asked[1][0]
    assert asked[1][1] == asked[1][2] == 600


@pytest.mark.parametrize(
    ("minutes", "scrape_s", "step", "window"), [(10, 5, 2.0, "20s"), (60, 15, 15.0, "60s"), (1440, 15, 360.0, "375s")]
)
def test_windows_are_at_least_four_scrapes(minutes: float, scrape_s: float, step: float, window: str) -> None:
    shown = last_minutes(minutes, 1_000_000, scrape_s)
    assert (shown.step, shown.window, shown.minutes) == (step, window, minutes)


def test_less_than_a_minute_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        last_minutes(0.5, 0)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(LocalError, match="no address"):
        prometheus("file:///etc/passwd")


def test_a_text_is_cut_to_its_room() -> None:
    from matplotlib import pyplot

    figure = pyplot.figure()
    try:
        canvas = Canvas(figure, figure.canvas.get_renderer(), THEMES["dark"], SHOWN, 100, 100)  # type: ignore[attr-defined]
        short = canvas.fitting("a long text indeed", 9, 40)
        assert short.endswith("…")
        assert canvas.measure(short, 9) <= 40
        assert canvas.fitting("a", 9, 40) == "a"
    finally:
        pyplot.close(figure)
    assert Box(0, 0, 100, 50).within(10, 5, 20, 15) == Box(10, 5, 70, 30)
    assert picture.WIDTH > 1000
