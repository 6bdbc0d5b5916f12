"""A panel as Grafana's SDK builds it: one function a kind, and what all kinds share."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import prometheus as asked

from observability.dashboards.panel import SPAN_S, Kind, Panel, Query

NO_DATA = "no data"


def drawn(panel: Panel, source: models.DataSourceRef) -> Any:
    """The SDK's builder of the panel, with everything but its place and its number."""
    builder: Any = _KINDS[panel.kind](panel)
    builder.title(panel.title).description(panel.description).datasource(source)
    builder.unit(panel.unit.value).no_value(panel.empty or NO_DATA).mappings(_mappings(panel))
    if panel.kind is not Kind.HEATMAP:
        builder.thresholds(_thresholds(panel))
        if panel.least is not None and not panel.logarithmic:  # a logarithm has no 0
            builder.min(panel.least)
        if panel.most is not None:
            builder.max(panel.most)
    for number, query in enumerate(panel.queries):
        builder.with_target(_target(panel, query, chr(ord("A") + number), source))
    return builder


def row(title: str, number: int, y: int) -> grafana.Row:
    """A row's title, at this height."""
    return grafana.Row(title).id(number).grid_pos(models.GridPos(x=0, y=y, w=24, h=1))


def _target(panel: Panel, query: Query, ref: str, source: models.DataSourceRef) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .expr(query.expr.text)
        .legend_format(query.legend)
        .ref_id(ref)
        .datasource(source)
        .editor_mode(asked.QueryEditorMode.CODE)
        .exemplar(query.exemplars and panel.kind is Kind.LINES)
    )
    if panel.kind is Kind.TABLE:
        target.format(asked.PromQueryFormat.TABLE)
    elif panel.kind is Kind.HEATMAP:
        target.format(asked.PromQueryFormat.HEATMAP)
    return target.instant() if panel.instant else target.range()


def _thresholds(panel: Panel) -> grafana.ThresholdsConfig:
    base = models.Threshold(value=None, color=panel.base.value)
    steps = [models.Threshold(value=one.value, color=one.colour.value) for one in panel.thresholds]
    return grafana.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps([base, *steps])


def _mappings(panel: Panel) -> list[Any]:
    if not panel.states:
        return []
    results = {
        f"{one.value:g}": models.ValueMappingResult(text=one.text, color=one.colour.value, index=number)
        for number, one in enumerate(panel.states)
    }
    return [models.ValueMap(options=results)]


def _lines(panel: Panel) -> timeseries.Panel:
    listed = len(panel.queries) > 1 or "{{" in panel.queries[0].legend
    builder = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .display_mode(look.LegendDisplayMode.LIST)
            .placement(look.LegendPlacement.BOTTOM)
            .show_legend(listed)
        )
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
        .color_scheme(grafana.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 0)
        .show_points(look.VisibilityMode.AUTO)
        .span_nulls(SPAN_S * 1000 if panel.sparse else False)
    )
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL).group("A"))
    if panel.logarithmic:
        builder.scale_distribution(common.ScaleDistributionConfig().type(look.ScaleDistribution.LOG).log(10))
    if panel.thresholds:
        builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(look.GraphTresholdsStyleMode.DASHED))
    return builder


def _stat(panel: Panel) -> stat.Panel:
    named = len(panel.queries) > 1 or "{{" in panel.queries[0].legend
    return (
        stat.Panel()
        .reduce_options(_last())
        .color_mode(look.BigValueColorMode.BACKGROUND if panel.states else look.BigValueColorMode.VALUE)
        .graph_mode(
            look.BigValueGraphMode.NONE if panel.states or panel.instant else look.BigValueGraphMode.AREA
        )
        .text_mode(look.BigValueTextMode.VALUE_AND_NAME if named else look.BigValueTextMode.VALUE)
        .justify_mode(look.BigValueJustifyMode.CENTER)
        .orientation(look.VizOrientation.AUTO)
        .color_scheme(_by_thresholds())
    )  # fmt: skip


def _bars(_panel: Panel) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .reduce_options(_last())
        .orientation(look.VizOrientation.HORIZONTAL)
        .display_mode(look.BarGaugeDisplayMode.BASIC)
        .show_unfilled(True)
        .min_viz_height(10)
        .color_scheme(_by_thresholds())
    )


def _table(panel: Panel) -> table.Panel:
    names = {f"Value #{chr(ord('A') + number)}": query.legend for number, query in enumerate(panel.queries)}
    order = {panel.key: 0} | {name: number for number, name in enumerate(names, start=1)}
    builder = (
        table.Panel()
        .color_scheme(_by_thresholds())
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": order,
                    "renameByName": {panel.key: panel.key.capitalize(), **names},
                },
            )
        )
        .sort_by([common.TableSortByFieldState().display_name(panel.queries[0].legend).desc(True)])
    )
    for query in panel.queries:
        unit = models.DynamicConfigValue(id_val="unit", value=(query.scale or panel.unit).value)
        builder.override_by_name(query.legend, [unit])
    return builder


def _heatmap(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heat.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(heat.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(panel.unit.value))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(look.HeatmapCellLayout.AUTO))
        .show_tooltip()
        .hide_legend()
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().values(False).calcs(["lastNotNull"])


def _by_thresholds() -> grafana.FieldColor:
    return grafana.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)


_KINDS = {Kind.LINES: _lines, Kind.STAT: _stat, Kind.BARS: _bars, Kind.TABLE: _table, Kind.HEATMAP: _heatmap}
