"""How each kind of panel is drawn into its box of a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from observability.dashboards.panel import SPAN_S, Kind, Panel, Query, Scale
from observability.dashboards.picture import Box, Canvas
from observability.dashboards.samples import Series
from observability.dashboards.scales import written

LEGEND_LINE, LEGEND_SIZE = 15, 7.5
BAR, LINE = 24, 22
# Of a logarithmic axis: decades, and of seconds what people count in.
_DECADES = (
    tuple(10.0**power for power in range(-6, 13)),
    (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 864_000.0, 8_640_000.0),
)
AXIS = 58  # room for the numbers at the left


def _lines(canvas: Canvas, box: Box, panel: Panel, series: list[Series]) -> None:
    """Lines, or areas on top of each other, with a legend below."""
    named = len(panel.queries) > 1 or "{{" in panel.queries[0].legend
    ordered = sorted(series, key=lambda one: (one.query, one.name))
    colours = {one.name: canvas.theme.palette[n % len(canvas.theme.palette)] for n, one in enumerate(ordered)}
    below = _legend(canvas, box, [(one.name, colours[one.name]) for one in ordered]) if named else 0.0
    axes = canvas.axes(box.within(AXIS, below + 22, 8, 2))
    shown = canvas.shown
    if panel.stacked:
        _stack(axes, ordered, colours, shown.start, shown.end, shown.step)
    else:
        for one in ordered:
            for part in _parts(one, SPAN_S if panel.sparse else 2.5 * shown.step):
                times, values = [p[0] for p in part], [p[1] for p in part]
                alone = {"marker": "o", "markersize": 3} if len(part) == 1 else {}
                axes.plot(times, values, color=colours[one.name], linewidth=1.3, solid_capstyle="round", **alone)
    _scale(axes, panel, [point[1] for one in series for point in one.points])
    for threshold in panel.thresholds:
        low, high = axes.get_ylim()
        if low < threshold.value < high:
            colour = canvas.theme.states[threshold.colour]
            axes.axhline(threshold.value, color=colour, linewidth=1, linestyle=(0, (5, 4)), alpha=0.8)
    _time_axis(canvas, axes)


def _scale(axes: Any, panel: Panel, values: Sequence[float]) -> None:
    """The axis at the left: from what the panel says it begins at to what it ends at, or what the values need."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _at: written(value, panel.unit)))
    if panel.logarithmic and max(values) > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        steps = _DECADES[panel.unit is Scale.SECONDS]
        axes.yaxis.set_major_locator(FixedLocator([step for step in steps if low <= step <= high]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _at: written(value, panel.unit)))
        return
    bottom = min(values) if panel.least is None else min(panel.least, *values)
    top = axes.get_ylim()[1] if panel.stacked else max(values)
    top = panel.most if panel.most is not None else top + 0.08 * (top - bottom)
    bottom = bottom if panel.least is not None else bottom - 0.08 * (top - bottom)
    if top <= bottom:
        top = bottom + (abs(bottom) or 1.0)
    axes.set_ylim(bottom, top)
    # Hours and days are no multiples of ten seconds.
    unit = next((s for s in (86_400, 3_600, 60) if panel.unit is Scale.SECONDS and top >= 2 * s), 1)
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom / unit, top / unit)
    axes.set_yticks([tick * unit for tick in ticks if bottom <= tick * unit <= top])


def _time_axis(canvas: Canvas, axes: Any) -> None:
    start, end = canvas.shown.start, canvas.shown.end
    axes.set_xlim(start, end)
    axes.grid(axis="both", color=canvas.theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    wanted = max(2, int(axes.bbox.width // 85))
    every = next(s for s in (10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 86_400, math.inf)
                 if (end - start) / s <= wanted)  # fmt: skip
    ticks = []
    at = math.ceil(start / every) * every if math.isfinite(every) else start
    while at <= end and math.isfinite(every):
        ticks.append(at)
        at += every
    form = "%H:%M:%S" if every < 60 else "%H:%M" if end - start < 172_800 else "%d.%m."
    axes.set_xticks(ticks, [datetime.fromtimestamp(tick, UTC).strftime(form) for tick in ticks])


def _parts(one: Series, gap: float) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = [[one.points[0]]]
    for point in one.points[1:]:
        if point[0] - parts[-1][-1][0] > gap:
            parts.append([])
        parts[-1].append(point)
    return parts


def _stack(axes: Any, series: list[Series], colours: dict[str, str], start: float, end: float, step: float) -> None:
    slots = round((end - start) / step) + 1
    times = [start + slot * step for slot in range(slots)]
    below = [0.0] * slots
    for one in series:
        at = {round((when - start) / step): value for when, value in one.points}
        above = [low + at.get(slot, 0.0) for slot, low in enumerate(below)]
        axes.fill_between(times, below, above, color=colours[one.name], alpha=0.32, linewidth=0)
        axes.plot(times, above, color=colours[one.name], linewidth=1.1)
        below = above
    axes.set_ylim(0, max(below) * 1.05 or 1)


def _legend(canvas: Canvas, box: Box, names: list[tuple[str, str]]) -> float:
    """Writes the names below the axes, as many as a third of the box takes; the height that they take."""
    lines: list[list[tuple[str, str, float]]] = [[]]
    most = max(1, int(box.height / 3 // LEGEND_LINE))
    room = box.width
    left = len(names)
    for name, colour in dict.fromkeys(names):
        text = canvas.fitting(name, LEGEND_SIZE, box.width * 0.6)
        wide = canvas.measure(text, LEGEND_SIZE) + 32
        last = len(lines) == most
        if wide > room - (60 if last and left > 1 else 0):
            if last:
                break
            lines.append([])
            room = box.width
        lines[-1].append((text, colour, wide))
        room -= wide
        left -= 1
    for number, line in enumerate(lines):
        x, y = box.x, box.y + (len(lines) - 1 - number) * LEGEND_LINE + LEGEND_LINE / 2
        for text, colour, wide in line:
            canvas.fill(Box(x, y - 1.5, 14, 3), colour, radius=1)
            canvas.write(x + 19, y, text, LEGEND_SIZE, canvas.theme.quiet, va="center_baseline")
            x += wide
        if number == len(lines) - 1 and left:
            canvas.write(x, y, f"+{left} more", LEGEND_SIZE, canvas.theme.quiet, va="center_baseline", style="italic")
    return len(lines) * LEGEND_LINE + 4.0


def _stat(canvas: Canvas, box: Box, panel: Panel, series: list[Series]) -> None:
    """Tiles with the newest value each, and its line behind it."""
    named = len(series) > 1 or "{{" in panel.queries[0].legend
    across = min(len(series), max(1, int(box.width // 150)))
    while across > 1 and math.ceil(len(series) / across) * 40 > box.height:
        across -= 1
    across = max(across, math.ceil(len(series) / max(1, int(box.height // 40))))
    down = math.ceil(len(series) / across)
    wide, high = box.width / across, box.height / down
    for number, one in enumerate(sorted(series, key=lambda one: one.name)):
        tile = Box(
            box.x + number % across * wide, box.y + box.height - (number // across + 1) * high, wide - 4, high - 4
        )
        _tile(canvas, tile, panel, one, named)


def _tile(canvas: Canvas, tile: Box, panel: Panel, one: Series, named: bool) -> None:
    colour = _colour(canvas, panel, one.last)
    state = next((state for state in panel.states if state.value == one.last), None)
    text = state.text if state else written(one.last, panel.unit)
    front = colour
    if panel.states:
        canvas.fill(tile, canvas.theme.states[state.colour] if state else colour)
        front = "#111217" if canvas.theme.canvas == "#111217" else "#ffffff"
    elif not panel.instant and len(one.points) > 1:
        _spark(canvas, Box(tile.x, tile.y, tile.width, tile.height * 0.4), one, colour)
    size = min(26.0, tile.height * (0.3 if named else 0.34))
    while size > 8 and canvas.measure(text, size, "bold") > tile.width - 12:
        size -= 1
    x, y = tile.x + tile.width / 2, tile.y + tile.height * (0.36 if named else 0.6)
    canvas.write(x, y, text, size, front, va="center", ha="center", weight="bold")
    if named:
        name = canvas.fitting(one.name, 8, tile.width - 10)
        quiet = front if panel.states else canvas.theme.text
        canvas.write(x, tile.y + tile.height * 0.78, name, 8, quiet, va="center", ha="center")


def _spark(canvas: Canvas, box: Box, one: Series, colour: str) -> None:
    axes = canvas.axes(box)
    times, values = [p[0] for p in one.points], [p[1] for p in one.points]
    axes.plot(times, values, color=colour, linewidth=1)
    axes.fill_between(times, min(0.0, *values), values, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlim(canvas.shown.start, canvas.shown.end)
    axes.set_ylim(min(0.0, *values), max(*values, 1e-12) * 1.1)
    axes.set_xticks([])
    axes.set_yticks([])


def _colour(canvas: Canvas, panel: Panel, value: float) -> str:
    colour = panel.base
    for threshold in panel.thresholds:
        if value >= threshold.value:
            colour = threshold.colour
    return canvas.theme.states[colour]


def _bars(canvas: Canvas, box: Box, panel: Panel, series: list[Series]) -> None:
    """A bar a series with its name before and its value behind it, the largest first."""
    ordered = sorted(series, key=lambda one: (-one.last, one.name))
    rows = max(1, int(box.height // BAR))
    left = max(0, len(ordered) - rows)
    ordered = ordered[: rows - 1] if left else ordered
    left = len(series) - len(ordered)
    names = [canvas.fitting(one.name, 8.5, box.width * 0.6) for one in ordered]
    values = [written(one.last, panel.unit) for one in ordered]
    before = max(canvas.measure(name, 8.5) for name in names) + 10
    behind = max(canvas.measure(value, 8.5, "bold") for value in values) + 10
    most = panel.most or max((one.last for one in ordered), default=0) or 1
    for number, (one, name, value) in enumerate(zip(ordered, names, values, strict=True)):
        y = box.y + box.height - (number + 0.5) * BAR
        full = box.width - before - behind
        colour = _colour(canvas, panel, one.last)
        canvas.write(box.x + before - 10, y, name, 8.5, canvas.theme.text, va="center", ha="right")
        canvas.fill(Box(box.x + before, y - 8, full, 16), canvas.theme.grid, radius=2)
        canvas.fill(
            Box(box.x + before, y - 8, max(1.0, full * min(1.0, max(0.0, one.last / most))), 16), colour, radius=2
        )
        canvas.write(box.x + box.width, y, value, 8.5, colour, va="center", ha="right", weight="bold")
    if left:
        y = box.y + box.height - (len(ordered) + 0.5) * BAR
        canvas.write(box.x + before, y, f"+{left} more", 8, canvas.theme.quiet, va="center", style="italic")


def _table(canvas: Canvas, box: Box, panel: Panel, series: list[Series]) -> None:
    """A line for each value of the key, a column for each query."""
    cells: dict[str, dict[int, float]] = {}
    for one in series:
        cells.setdefault(one.labels.get(panel.key, ""), {})[one.query] = one.last
    ordered = sorted(cells.items(), key=lambda item: (-item[1].get(0, -math.inf), item[0]))
    rows = max(1, int((box.height - LINE) // LINE))
    left = max(0, len(ordered) - rows)
    ordered = ordered[: rows - 1] if left else ordered
    left = len(cells) - len(ordered)
    first = max(90.0, box.width * 0.1)
    wide = (box.width - first) / len(panel.queries)
    y = box.y + box.height - LINE / 2
    canvas.write(box.x, y, panel.key.capitalize(), 8.5, canvas.theme.quiet, va="center", weight="bold")
    for number, query in enumerate(panel.queries, start=1):
        title = canvas.fitting(query.legend, 8.5, wide - 8, "bold")
        x = box.x + first + number * wide
        canvas.write(x, y, title, 8.5, canvas.theme.quiet, va="center", ha="right", weight="bold")
    for line, (key, values) in enumerate(ordered, start=1):
        y = box.y + box.height - (line + 0.5) * LINE
        canvas.fill(Box(box.x, y + LINE / 2, box.width, 0.6), canvas.theme.grid, radius=0)
        canvas.write(box.x, y, canvas.fitting(key, 8.5, first - 8), 8.5, canvas.theme.text, va="center")
        for number, query in enumerate(panel.queries):
            text = _cell(query, values.get(number, math.nan), panel.unit)
            x = box.x + first + (number + 1) * wide
            canvas.write(x, y, text, 8.5, canvas.theme.text, va="center", ha="right")
    if left:
        y = box.y + box.height - (len(ordered) + 1.5) * LINE
        canvas.write(box.x, y, f"+{left} more", 8, canvas.theme.quiet, va="center", style="italic")


def _cell(query: Query, value: float, otherwise: Scale) -> str:
    return written(value, query.scale or otherwise)


def _heatmap(canvas: Canvas, box: Box, panel: Panel, series: list[Series]) -> None:
    """Observations by time and bucket: cumulative buckets made single, the fuller the brighter."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    shown = canvas.shown
    slots = round((shown.end - shown.start) / shown.step) + 1
    ordered = sorted(series, key=lambda one: float(one.labels["le"]))
    grid: list[list[float]] = []
    below = [0.0] * slots
    for one in ordered:
        at = {round((when - shown.start) / shown.step): value for when, value in one.points}
        line = [at.get(slot, 0.0) for slot in range(slots)]
        grid.append([max(0.0, value - low) for value, low in zip(line, below, strict=True)])
        below = line
    axes = canvas.axes(box.within(AXIS, 22, 8, 2))
    bright = canvas.theme.palette[2]
    colours = LinearSegmentedColormap.from_list("heat", [canvas.theme.panel, bright])
    most = max(max(line) for line in grid) or 1
    edges = [shown.start + (slot - 0.5) * shown.step for slot in range(slots + 1)]
    axes.pcolormesh(edges, range(len(grid) + 1), grid, cmap=colours, norm=PowerNorm(0.5, 0, most), rasterized=True)
    _time_axis(canvas, axes)
    axes.grid(visible=False)
    every = max(1, math.ceil(len(ordered) / max(1, axes.bbox.height // 20)))
    ticks = [number + 1 for number in range(len(ordered)) if number % every == 0]
    axes.set_yticks(ticks, [written(float(ordered[tick - 1].labels["le"]), panel.unit) for tick in ticks])


KINDS: dict[Kind, Callable[[Canvas, Box, Panel, list[Series]], None]] = {
    Kind.LINES: _lines,
    Kind.STAT: _stat,
    Kind.BARS: _bars,
    Kind.TABLE: _table,
    Kind.HEATMAP: _heatmap,
}
