"""The whole stack under its own Prometheus: every panel has data, every rule reads something, and the numbers agree."""

from __future__ import annotations

import json
import math
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import yaml

from observability import dashboards, rules
from observability.dashboards import picture, samples
from observability.dashboards.samples import Range
from observability.metric import Exporter
from observability.scrape import LOCAL_INTERVAL_S
from serve.local.state import Store
from tests.support import accounts
from tests.support.lived import GROWING, VICTIM, Lived
from tests.support.prometheus import Prometheus
from tests.support.selectors import selectors
from tests.support.stack import Stack
from tests.support.traffic import Tally

# The fixture that all wait for lives a whole day.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

# Rates over a minute and sums over the whole run, at every scrape of it.
WINDOW, SINCE = "1m", "30m"
PICTURES = ("overview", "languages")


def has_data(prometheus: Prometheus, lived: Lived, expression: str) -> bool:
    """Whether the expression had a number at any moment of the run."""
    found = prometheus.query_range(expression, lived.began, lived.ended, LOCAL_INTERVAL_S)
    return any(math.isfinite(float(value)) for one in found for _, value in one["values"])


def test_every_target_is_scraped(prometheus: Prometheus, lived: Lived, observed: Stack) -> None:
    targets = prometheus.get("targets")["activeTargets"]
    down = [(t["labels"]["job"], t["scrapeUrl"], t["lastError"]) for t in targets if t["health"] != "up"]
    assert not down
    assert {t["labels"]["job"] for t in targets} == {
        job.value for job in (Exporter.GATEWAY, Exporter.AUTOSCALER, Exporter.RAY, Exporter.HAPROXY)
    }


def test_the_operator_s_page_has_the_plan(lived: Lived, observed: Stack) -> None:
    with urllib.request.urlopen(f"{observed.admin_url}/console/data/plan", timeout=10) as answer:
        told = json.loads(answer.read())
    assert told["problem"] is None
    assert told["plan"]["models"].keys() == set(observed.state.models)


# No model of this fleet may have no replica, and no plan had a flaw: tests of real gateways see these series.
ELSEWHERE = {("routing", panel) for panel in ("waking", "waking-ends", "waking-wait", "plan-flaws")}


def test_every_panel_has_data(
    prometheus: Prometheus, lived: Lived, observed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = dashboards.queries(observed.fleet.slo, WINDOW, SINCE)
    panels = {(one.dashboard, one.panel) for one in asked}
    empty = [one for one in asked if not has_data(prometheus, lived, one.expression)]
    without = {(one.dashboard, one.panel) for one in empty}
    with capsys.disabled():
        print(f"\n{len(panels) - len(without)} of {len(panels)} panels have data ({len(asked)} queries)")
        for one in empty:
            print(f"  none: {one.dashboard}/{one.panel}: {one.expression}")
    assert [one for one in empty if (one.dashboard, one.panel) not in ELSEWHERE] == []


def test_every_rule_is_evaluated_and_reads_series_that_exist(
    prometheus: Prometheus, lived: Lived, observed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    written = [
        rule
        for text in rules.render(observed.fleet).values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]
    assert len(loaded) == len(written)
    assert [rule["name"] for rule in loaded if rule["health"] != "ok"] == []
    recorded = [rule["record"] for rule in written if "record" in rule]
    read = {selector: rule.get("record") or rule["alert"] for rule in written for selector in selectors(rule["expr"])}
    empty = [name for name in recorded if not has_data(prometheus, lived, name)]
    empty += [f"{rule}: {text}" for text, rule in read.items() if not has_data(prometheus, lived, text)]
    with capsys.disabled():
        print(f"\n{len(recorded)} recording rules, {len(written) - len(recorded)} alerts, {len(read)} selectors")
        for text in empty:
            print(f"  none: {text}")
    assert not empty


def test_an_engine_that_dies_is_an_alert(lived: Lived) -> None:
    assert lived.alerts["ParlanceEngineDown", VICTIM] >= {"pending"}, "the stack's own, back before it would fire"
    assert lived.alerts["ParlanceEngineDown", "big"] == {"pending", "firing"}


def test_the_autoscaler_scaled(lived: Lived) -> None:
    assert lived.scaled_to == 2, GROWING


def agree(prometheus: Prometheus, lived: Lived, instance: str, state_dir: Path, since: float, clients: Tally) -> None:
    """Prometheus, decision log and ledger say the same of this gateway; and of each answer what its client was told."""
    found = accounts.entries(state_dir, since)
    scraped, logged = accounts.of_prometheus(prometheus, instance, lived.ended), accounts.of_log(found)
    assert scraped == logged
    assert accounts.of_ledger(state_dir, since) == logged
    by_id = {entry.id: entry.outcome for entry in found}
    for got in clients.got:
        done = by_id.get(got.decision_id)
        if got.decision_id:
            assert done is not None, got
            assert (done.model, done.status) == (got.model, got.status)
        if got.told and done is not None:
            stated = got.input, got.output, got.nano_usd
            assert (done.prompt_tokens, done.completion_tokens, done.nano_usd) == stated


def test_the_numbers_agree(
    prometheus: Prometheus, lived: Lived, observed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    state_dir, instance = observed.store.root / "gateway", f"127.0.0.1:{observed.state.ports.admin}"
    agree(prometheus, lived, instance, state_dir, observed.state.started_at, lived.tally)
    # Requests for paths that do not exist are errors, and no requests for a model.
    strays = lived.tally.codes()["unknown_url"]
    sent = lived.tally.statuses() - Counter({404: strays})
    assert accounts.statuses(prometheus, instance, lived.ended) - lived.before == sent
    with capsys.disabled():
        money = sum(lived.tally.nano_usd().values()) / accounts.NANO
        tokens = {direction: sum(by_model.values()) for direction, by_model in lived.tally.tokens().items()}
        print(f"\n{sum(sent.values())} requests by status {dict(sent)}")
        print(f"tokens {tokens}, {money:.9f} USD: the clients, Prometheus, the decision log and the ledger agree")
        print(f"seconds: {lived.took_s}")


def test_the_numbers_of_a_bad_day_agree(prometheus: Prometheus, lived: Lived) -> None:
    """Cut and stalled streams, retries, refusals for keys, budgets and load, slow readers."""
    agree(prometheus, lived, lived.second_target, lived.second_state, lived.began, lived.second)
    assert accounts.statuses(prometheus, lived.second_target, lived.ended) == lived.second.statuses()


def test_series_are_few(prometheus: Prometheus, lived: Lived, capsys: pytest.CaptureFixture[str]) -> None:
    """40 languages, wrong names and every failure later, a stack of five models has some thousands of series."""
    by_job = {
        one["metric"]["job"]: int(float(one["value"][1]))
        for one in prometheus.query('count by (job) ({__name__=~".+", job!=""})')
    }
    with capsys.disabled():
        print(f"\nseries: {sum(by_job.values())} {by_job}")
    assert by_job[Exporter.GATEWAY.value] < 15_000
    assert sum(by_job.values()) < 30_000


def test_pictures_are_drawn_from_the_live_data(prometheus: Prometheus, lived: Lived, observed: Stack) -> None:
    """`.state/pictures` has what the documentation shows."""
    folder = Store().root / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    shown = Range(lived.began, lived.ended, LOCAL_INTERVAL_S, WINDOW)
    for dashboard in dashboards.dashboards(observed.fleet.slo):
        if dashboard.name in PICTURES:
            file = folder / f"{dashboard.name}.png"
            picture.draw(dashboard, samples.prometheus(prometheus.url), file, shown)
            assert file.read_bytes().startswith(b"\x89PNG")
