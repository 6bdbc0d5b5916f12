"""A dashboard as a picture: its panels drawn with matplotlib from what a Prometheus answers, near to Grafana's look.

For documentation and for those without a Grafana; nothing here is rendered by Grafana itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from observability.dashboards.panel import COLUMNS, Colour, Dashboard, Panel, Placed
from observability.dashboards.samples import Ask, Range, fetch
from serve.errors import LocalError

# Pixels: of a picture 1,680 wide, Grafana's own proportions.
WIDTH, UNIT, GAP, HEAD = 1680, 38, 8, 46
DPI = 100
TITLE = 26  # of a panel


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of the canvas, the panels and what is written on them."""

    canvas: str
    panel: str
    border: str
    text: str
    quiet: str
    grid: str
    palette: tuple[str, ...]
    states: dict[Colour, str]


_DARK_PALETTE = (
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#4dd0c4", "#ff7eb6", "#a0a4ad", "#c9a26b",
    "#8ab8ff", "#37872d", "#fade9a", "#8f3bb8", "#c4162a", "#1f9e89",
)  # fmt: skip
_LIGHT_PALETTE = (
    "#37872d", "#b5860b", "#1f60c4", "#d9570b", "#c4162a", "#8f3bb8", "#0f8b80", "#c2347f", "#6b7280", "#8a6a35",
    "#5794f2", "#73bf69", "#7a5c00", "#b877d9", "#7f1020", "#14418b",
)  # fmt: skip
THEMES = {
    "dark": Theme(
        "#111217", "#181b1f", "#2a2d33", "#d8d9da", "#9a9ba1", "#2a2d33", _DARK_PALETTE,
        {Colour.GOOD: "#73bf69", Colour.WARN: "#ff9830", Colour.BAD: "#f2495c", Colour.NEUTRAL: "#5794f2"},
    ),
    "light": Theme(
        "#f4f5f5", "#ffffff", "#dcdee0", "#24292e", "#666b73", "#e7e8ea", _LIGHT_PALETTE,
        {Colour.GOOD: "#37872d", Colour.WARN: "#d9730d", Colour.BAD: "#c4162a", Colour.NEUTRAL: "#1f60c4"},
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the figure in pixels from its lower left corner."""

    x: float
    y: float
    width: float
    height: float

    def within(self, left: float, bottom: float, right: float, top: float) -> Box:
        """What is left of it inside these margins."""
        return Box(self.x + left, self.y + bottom, self.width - left - right, self.height - bottom - top)


@dataclass(frozen=True, slots=True)
class Canvas:
    """The figure, its colours and the time that it shows: what every kind of panel is drawn with."""

    figure: Any
    renderer: Any
    theme: Theme
    shown: Range
    width: float
    height: float

    def axes(self, box: Box) -> Any:
        """Axes that fill the box."""
        place = (box.x / self.width, box.y / self.height, box.width / self.width, box.height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_facecolor("none")
        axes.set_zorder(2)  # above the panels' rectangles, below what is written
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(colors=self.theme.quiet, labelsize=7.5, length=0)
        return axes

    def write(self, x: float, y: float, text: str, size: float, colour: str, **words: Any) -> Any:
        """Text at a pixel."""
        return self.figure.text(x / self.width, y / self.height, text, fontsize=size, color=colour, **words)

    def measure(self, text: str, size: float, weight: str = "normal") -> float:
        """The width of a text in pixels."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=size, weight=weight)
        wide, _, _ = self.renderer.get_text_width_height_descent(text, font, ismath=False)
        return float(wide)

    def fitting(self, text: str, size: float, width: float, weight: str = "normal") -> str:
        """The text, cut with an ellipsis where it is wider than this many pixels."""
        if self.measure(text, size, weight) <= width:
            return text
        fits, over = 0, len(text)
        while over - fits > 1:
            half = (fits + over) // 2
            fits, over = (half, over) if self.measure(text[:half] + "…", size, weight) <= width else (fits, half)
        return text[:fits].rstrip() + "…"

    def fill(self, box: Box, colour: str, border: str | None = None, radius: float = 3) -> None:
        """A rectangle with round corners."""
        from matplotlib.patches import FancyBboxPatch

        patch = FancyBboxPatch(
            (box.x / self.width, box.y / self.height),
            box.width / self.width,
            box.height / self.height,
            boxstyle=f"round,pad=0,rounding_size={radius / self.width}",
            mutation_aspect=self.width / self.height,
            facecolor=colour,
            edgecolor=border or colour,
            linewidth=0.8,
            transform=self.figure.transFigure,
        )
        self.figure.add_artist(patch)


def draw(dashboard: Dashboard, ask: Ask, path: Path, shown: Range, theme: str = "dark") -> None:
    """Writes the picture; the suffix says the format. Raises LocalError without matplotlib, where Prometheus does not
    answer, or where the file cannot be written; ValueError for a theme that is none."""
    if theme not in THEMES:
        raise ValueError(f"{theme!r} is no theme: {', '.join(THEMES)}")
    try:
        import matplotlib
    except ImportError as error:
        raise LocalError(
            "a picture needs matplotlib, which is not installed: install parlance with its extra `report`"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(dashboard.layout())
    bottom = max(one.y + one.panel.height for _, _, placed in rows for one in placed)
    height = HEAD + bottom * UNIT + 2 * GAP
    figure = pyplot.figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=THEMES[theme].canvas)
    try:
        canvas = Canvas(figure, figure.canvas.get_renderer(), THEMES[theme], shown, WIDTH, height)  # type: ignore[attr-defined]
        _head(canvas, dashboard)
        for row, y, placed in rows:
            at = height - HEAD - y * UNIT - UNIT / 2
            canvas.write(2 * GAP, at, row.title, 11, THEMES[theme].text, va="center", weight="bold")
            for one in placed:
                _panel(canvas, one, ask)
        figure.savefig(
            path, facecolor=figure.get_facecolor(), metadata={"Software": None} if path.suffix == ".png" else None
        )
    except (OSError, ValueError) as error:
        raise LocalError(f"{path}: the picture cannot be written: {error}") from error
    finally:
        pyplot.close(figure)


def _head(canvas: Canvas, dashboard: Dashboard) -> None:
    theme, shown = canvas.theme, canvas.shown
    at = canvas.height - HEAD / 2
    canvas.write(2 * GAP, at, dashboard.title, 15, theme.text, va="center", weight="bold")
    ended = datetime.fromtimestamp(shown.end, UTC)
    words = f"{shown.minutes:.0f} minutes until {ended:%Y-%m-%d %H:%M} UTC"
    canvas.write(canvas.width - 2 * GAP, at, words, 9, theme.quiet, va="center", ha="right")


def _panel(canvas: Canvas, placed: Placed, ask: Ask) -> None:
    from observability.dashboards.picture_kinds import KINDS

    panel, theme = placed.panel, canvas.theme
    column = (canvas.width - GAP) / COLUMNS
    box = Box(
        GAP + placed.x * column,
        canvas.height - HEAD - (placed.y + panel.height) * UNIT + GAP,
        panel.width * column - GAP,
        panel.height * UNIT - GAP,
    )
    canvas.fill(box, theme.panel, theme.border)
    title = canvas.fitting(panel.title, 9.5, box.width - 20, "bold")
    canvas.write(box.x + 10, box.y + box.height - 8, title, 9.5, theme.text, va="top", weight="bold")
    inside = box.within(10, 8, 10, TITLE + 4)
    series = fetch(panel, ask, canvas.shown)
    if not series:
        _nothing(canvas, inside, panel)
        return
    KINDS[panel.kind](canvas, inside, panel, series)


def _nothing(canvas: Canvas, box: Box, panel: Panel) -> None:
    text = panel.empty or "no data"
    at = (box.x + box.width / 2, box.y + box.height / 2)
    canvas.write(*at, canvas.fitting(text, 10, box.width), 10, canvas.theme.quiet, va="center", ha="center")
