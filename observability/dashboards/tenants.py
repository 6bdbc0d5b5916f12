"""Tenants: what each asks and spends, what is left of its budget, and whether the ledger keeps up."""

from __future__ import annotations

from observability import metrics
from observability.dashboards.asking import HOUR_S, TENANT, amount, counted, each_second, in_range, largest, seen
from observability.dashboards.panel import (
    Colour,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Scale,
    Threshold,
    Variable,
    targets,
)
from serve.fleet.slo import Slo

NEARLY, GONE = 0.8, 1.0


def dashboard(_slo: Slo) -> Dashboard:
    """The dashboard."""
    return Dashboard(
        "tenants",
        "Parlance / Tenants",
        "What tenants ask and spend, their budgets, and the ledger that both are read from. The first hundred "
        "tenants of the keys file have lines of their own, all others are `other`; the ledger knows each.",
        (
            *targets(metrics.BUILD),
            Variable("tenant", (metrics.TENANT_REQUESTS,), "tenant", "Tenant", "Tenants of the keys file."),
        ),
        (
            Row("Budgets", _budgets()),
            Row("Requests and spend", _spend()),
            Row("Limits", _limits()),
            Row("Ledger", _ledger()),
        ),
        since="now-6h",
    )


def _budgets() -> tuple[Panel, ...]:
    budget = largest(metrics.BUDGET, "tenant", **TENANT)
    spent = largest(metrics.BUDGET_SPENT, "tenant", **TENANT)
    used = spent.per(budget)
    return (
        Panel(
            "budgets",
            "Tenants of the range",
            "One line a tenant: budget and what is spent of it in its period, cost and requests of the range. A "
            "tenant that spends without a budget has none in the keys file. `parlance tenants spend` has the exact "
            "figures, of all.",
            (
                Query(budget, "Budget", Scale.USD),
                Query(spent, "Spent of it", Scale.USD),
                Query(used, "Share spent", Scale.SHARE),
                Query(in_range(metrics.TENANT_COST, "tenant", **TENANT), "Cost in the range", Scale.USD),
                Query(counted(metrics.TENANT_REQUESTS, "tenant", **TENANT), "Requests in the range", Scale.COUNT),
            ),
            Kind.TABLE,
            Scale.COUNT,
            width=14,
            height=9,
            base=Colour.NEUTRAL,
            key="tenant",
            empty="no tenants",
        ),
        Panel(
            "budget-used",
            "Budget spent",
            "Share of each budget spent in its running period. At 1 the tenant's requests are refused until the "
            "period ends: tell the tenant at 0.8, or raise the budget in the keys file.",
            (Query(used, "{{tenant}}"),),
            Kind.BARS,
            Scale.SHARE,
            width=10,
            height=9,
            most=1,
            thresholds=(Threshold(NEARLY, Colour.WARN), Threshold(GONE, Colour.BAD)),
            empty="no budgets",
        ),
    )


def _spend() -> tuple[Panel, ...]:
    return (
        Panel(
            "requests",
            "Requests by outcome",
            "answered, refused (4xx), failed (5xx or a broken stream), left. Refusals of one tenant alone: its "
            "key, its budget or its requests; of all: limits of the gateway.",
            (Query(seen(metrics.TENANT_REQUESTS, "tenant", "outcome", **TENANT), "{{tenant}}: {{outcome}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            empty="no traffic",
        ),
        Panel(
            "spend",
            "Cost of the range",
            "By tenant, at the fleet's prices. Bills are made from the ledger, which has every request (`parlance "
            "tenants spend`).",
            (Query(in_range(metrics.TENANT_COST, "tenant", **TENANT), "{{tenant}}"),),
            Kind.BARS,
            Scale.USD,
            base=Colour.NEUTRAL,
            empty="no traffic",
        ),
        Panel(
            "spend-per-hour",
            "Cost an hour",
            "At the present rate. A tenant whose line jumps: more requests, longer answers, or a dearer model that it "
            "names itself.",
            (Query(each_second(metrics.TENANT_COST, "tenant", **TENANT) * HOUR_S, "{{tenant}}"),),
            scale=Scale.USD,
            stacked=True,
            empty="no traffic",
        ),
    )


def _limits() -> tuple[Panel, ...]:
    failed = each_second(metrics.TENANT_REQUESTS, "tenant", outcome="failed", **TENANT)
    every = each_second(metrics.TENANT_REQUESTS, "tenant", **TENANT)
    return (
        Panel(
            "budget-reserved",
            "Held back for open requests",
            "The most that open requests may cost. Large beside the budget's rest: many long answers at once; requests "
            "are refused although money is left. Never falling: a request that does not end.",
            (Query(amount(metrics.BUDGET_RESERVED, "tenant", **TENANT), "{{tenant}}"),),
            empty="no budgets",
        ),
        Panel(
            "refusals",
            "Refused for the budget",
            "Requests a second whose expected cost the rest of the budget does not cover. A smaller max_tokens "
            "makes them cheaper; a higher budget lets them through.",
            (Query(seen(metrics.BUDGET_REFUSALS, "tenant", **TENANT), "{{tenant}}"),),
            scale=Scale.PER_SECOND,
            empty="no request was refused for its budget",
        ),
        Panel(
            "failed-share",
            "Failed requests",
            "Share of a tenant's requests that failed by our fault. One tenant alone: what it asks (length, model) "
            "meets something that others do not.",
            (Query(failed.per(every), "{{tenant}}"),),
            scale=Scale.SHARE,
            empty="no traffic",
        ),
    )


def _ledger() -> tuple[Panel, ...]:
    return (
        Panel(
            "ledger-lag",
            "Age of the oldest unwritten row",
            "Seconds are normal. Growing: the disk is full or slow; answers go on and rows wait in memory, which "
            "ends with the process.",
            (Query(largest(metrics.LEDGER_LAG), "lag"),),
            width=6,
            thresholds=(Threshold(60, Colour.BAD),),
        ),
        Panel(
            "ledger-pending",
            "Unwritten rows",
            "Rows that wait, of all workers. They should fall back to 0 within a second.",
            (Query(amount(metrics.LEDGER_PENDING), "rows"),),
            width=6,
        ),
        Panel(
            "ledger-rows",
            "Rows written",
            "Rows a second beside the requests that were answered: about one each. Fewer for long while Unwritten rows "
            "grows: see Batches not written.",
            (
                Query(each_second(metrics.LEDGER_ROWS), "rows"),
                Query(each_second(metrics.TENANT_REQUESTS, outcome="answered"), "answered requests"),
            ),
            scale=Scale.PER_SECOND,
            width=6,
        ),
        Panel(
            "ledger-failures",
            "Batches not written in the range",
            "Each was kept and is tried again. Any: the disk (space, permissions) is what to look at; the "
            "gateway's log has the reason.",
            (Query(counted(metrics.LEDGER_FAILURES), "batches"),),
            Kind.STAT,
            Scale.COUNT,
            width=6,
            thresholds=(Threshold(1, Colour.BAD),),
            empty="no ledger",
        ),
    )
