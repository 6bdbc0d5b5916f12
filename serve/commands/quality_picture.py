"""The report of quality as a picture: models by languages, coloured by the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from serve.errors import LocalError
from serve.routing.report import Report

# Points at which the colours end: what lies beyond looks as what lies there.
FROM, TO = -40.0, 10.0
_MISSING: Final = "#e4e4e4"


def draw(report: Report, path: Path) -> None:
    """Writes the heat map; the suffix says the format. Raises LocalError without matplotlib, or where it cannot."""
    try:
        import matplotlib
    except ImportError as error:
        raise LocalError(
            "a picture needs matplotlib, which is not installed: install parlance with its extra `report`"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import patches, pyplot

    models = list(report.models)
    figure, axes = pyplot.subplots(figsize=(2.2 + 0.42 * len(report.lines), 1.6 + 0.5 * len(models)), dpi=150)
    image = axes.imshow(
        [[_value(report, row, column) for column in range(len(report.lines))] for row in range(len(models))],
        cmap=_colours(matplotlib),
        vmin=FROM,
        vmax=TO,
        aspect="auto",
    )
    for column, line in enumerate(report.lines):
        for row, cell in enumerate(line.cells):
            text = "·" if cell.delta is None else f"{cell.delta:.0f}"
            if cell.delta is None and cell.status == "declared":
                text = "d"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5)
            if cell.model == line.model:
                edge = patches.Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, linewidth=1.6)
                axes.add_patch(edge)
    axes.set_xticks(range(len(report.lines)), [line.language for line in report.lines], fontsize=7)
    axes.set_yticks(range(len(models)), models, fontsize=7)
    task = report.task.value if report.task else "generative tasks"
    axes.set_title(
        f"Points against {report.reference} ({task}). Framed: serves the language, floor {report.floor:+g}. "
        "d: only declared; ·: nothing known",
        fontsize=7,
    )
    figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01).ax.tick_params(labelsize=6)
    figure.tight_layout()
    try:
        figure.savefig(path, metadata={"Software": None} if path.suffix == ".png" else None)
    except (OSError, ValueError) as error:
        raise LocalError(f"{path}: the picture cannot be written: {error}") from error
    finally:
        pyplot.close(figure)


def _value(report: Report, row: int, column: int) -> float:
    delta = report.lines[column].cells[row].delta
    return float("nan") if delta is None else delta


def _colours(matplotlib: Any) -> Any:
    return matplotlib.colormaps["RdYlGn"].with_extremes(bad=_MISSING)
