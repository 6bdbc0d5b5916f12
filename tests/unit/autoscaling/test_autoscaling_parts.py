"""Queries, metrics, the page of the plan, state on disk, leadership and back-off."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path

import promql_parser
import pytest
from autoscaling_cases import MODEL, fleet, plan, rounds, seen, settled, snapshot, without
from prometheus_client import generate_latest

from autoscaling import queries, state_file
from autoscaling.backoff import LONGEST_S, Backoff
from autoscaling.bounds import Bounded
from autoscaling.forecast import Forecast
from autoscaling.history import History
from autoscaling.instruments import Instruments, Outcome
from autoscaling.leader import Alone, FileLock
from autoscaling.plan import Code
from autoscaling.policies import POLICIES, TokenWork
from autoscaling.published import Done, Published, as_json
from autoscaling.snapshot import Cause, Replicas
from observability.autoscaler_metrics import AUTOSCALER
from observability.labels import LABELS
from serve.errors import DescriptionError, LocalError
from serve.fleet.autoscaling import Autoscaling
from serve.fleet.loader import resolve

pytestmark = pytest.mark.unit


def test_every_query_parses() -> None:
    for query in queries.queries(fleet()):
        promql_parser.parse(str(query.expression))
    for expression in queries.times().values():
        promql_parser.parse(str(expression))


def test_results_are_labelled_as_their_source_says() -> None:
    labels = {
        queries.Source.GATEWAY: {"model"},
        queries.Source.FLEET: set(),
        queries.Source.ENGINES: {"model_name", "ReplicaId"},
    }
    for query in queries.queries(fleet()):
        assert query.expression.labels == labels[query.source], query.name
    for source, expression in queries.times().items():
        assert expression.labels == labels[source]


def test_the_policies_are_those_that_the_fleet_may_name() -> None:
    named = Autoscaling.model_fields["policy"].annotation
    assert set(POLICIES) == set(named.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"interval_s": 0}, "autoscaling.interval_s"),
        ({"policy": "vibes"}, "autoscaling.policy"),
        ({"work": {"target_utilisation": 1.1}}, "autoscaling.work.target_utilisation"),
        ({"prometheus_url": "localhost:9090"}, "autoscaling.prometheus_url"),
        ({"interval_s": 1, "pace": {"scale_down_window_s": 5000}}, "autoscaling"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(settings: dict[str, object], field: str) -> None:
    with pytest.raises(DescriptionError) as refused:
        fleet(**{"interval_s": 15, **settings})  # type: ignore[arg-type]
    assert [problem.path for problem in refused.value.problems] == [field]


def samples(instruments: Instruments) -> dict[str, float]:
    lines = generate_latest(instruments.registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_round_sets_every_metric_of_the_catalogue() -> None:
    described = fleet(1, 5)
    instruments = Instruments(described)
    at = snapshot(0.0, replace(seen(2.0, 1), replicas=Replicas(1, 1, 2, 3)))
    made = Bounded(TokenWork()).plan(0.0, at, History(), described)
    instruments.leads(True)
    instruments.planned(made, at)
    instruments.done(MODEL, Outcome.APPLIED, 1, 3)
    instruments.held({MODEL: Replicas(1, 1, 2, 3)}, 10.0)
    instruments.started(MODEL, (12.0,))
    instruments.sampled("gateway", 1234.0)
    instruments.ended(0.2, 5678.0)
    told = samples(instruments)
    for metric in AUTOSCALER:
        assert any(name.startswith(metric.name) for name in told), metric.name

    def value(name: str, **labels: str) -> float:
        inside = ",".join(f'{k}="{v}"' for k, v in sorted({"model": MODEL, **labels}.items()))
        return told[f"parlance_autoscaler_{name}{{{inside}}}"]

    assert value("planned_replicas") == 2
    assert value("target_replicas") == 1
    assert [value("replicas", state=s) for s in ("running", "starting", "draining")] == [1, 2, 3]
    assert [value("replica_bounds", bound=b) for b in ("min", "max")] == [1, 5]
    assert value("arriving_tokens_per_second") == 200
    assert value("replica_changes_total", direction="up") == 2
    assert value("applies_total", outcome="applied") == 1
    assert value("plan_reasons_total", reason="work") == 1
    assert value("gpu_seconds_total") == 0  # a laptop has none
    assert value("blind") == 0
    assert told["parlance_autoscaler_last_round_timestamp_seconds"] == 5678


def test_label_values_are_known_from_the_start_and_listed() -> None:
    told = samples(Instruments(fleet()))
    for code in Code:
        assert f'parlance_autoscaler_plan_reasons_total{{model="{MODEL}",reason="{code.value}"}}' in told
    for cause in Cause:
        assert f'parlance_autoscaler_holds_total{{cause="{cause.value}",model="{MODEL}"}}' in told
        assert cause.value in LABELS["cause"]
    for outcome in Outcome:
        assert outcome.value in LABELS["outcome"]


def test_a_blind_round_counts_a_hold_and_a_follower_tells_nothing_of_models() -> None:
    described = fleet()
    instruments = Instruments(described)
    at = snapshot(0.0, without(seen(1.0), "finished", cause=Cause.UNREACHABLE))
    instruments.planned(Bounded(TokenWork()).plan(0.0, at, History(), described), at)
    told = samples(instruments)
    assert told[f'parlance_autoscaler_holds_total{{cause="unreachable",model="{MODEL}"}}'] == 1
    assert told[f'parlance_autoscaler_blind{{model="{MODEL}"}}'] == 1
    assert not any(name.startswith("parlance_autoscaler_arriving") for name in told)
    instruments.leads(False)
    told = samples(instruments)
    assert told["parlance_autoscaler_leader"] == 0
    assert not any(name.startswith(("parlance_autoscaler_planned", "parlance_autoscaler_blind")) for name in told)


def test_gpu_time_and_its_price() -> None:
    models = {"use": MODEL, "engine": {"gpu": "L40S-48GB", "usd_per_gpu_hour": 3.6, "tensor_parallel": 2}}
    instruments = Instruments(resolve({"models": [models]}, "test"))
    instruments.held({MODEL: Replicas(2, 1, 1, 1)}, 10.0)
    told = samples(instruments)
    assert told[f'parlance_autoscaler_gpu_seconds_total{{model="{MODEL}"}}'] == 60.0
    assert told[f'parlance_autoscaler_cost_usd_total{{model="{MODEL}"}}'] == pytest.approx(60 * 3.6 / 3600)


def test_the_plan_as_it_is_shown() -> None:
    described = fleet(1, 5)
    at = snapshot(0.0, seen(3.0, 1, kv_use=None))
    made = Bounded(TokenWork()).plan(0.0, at, History(), described)
    last = Published(100.0, made, at, {MODEL: Done(Outcome.APPLIED)}, 0.25)
    shown = json.loads(json.dumps(as_json(last, leads=True, dry_run=False, interval_s=15, wall=103.5)))
    assert (shown["age_s"], shown["policy"], shown["leader"]) == (3.5, "token-work", True)
    model = shown["models"][MODEL]
    assert (model["wanted"], model["target"], model["running"]) == (3, 1, 1)
    assert model["bounds"] == {"min": 1, "max": 5}
    assert model["reason"]["code"] == "work"
    assert "300 tokens/s are expected" in model["reason"]["words"]
    assert model["readings"]["kv_use"] == {"value": None, "age_s": None, "cause": "missing"}
    assert as_json(None, leads=False, dry_run=False, interval_s=15, wall=0.0)["models"] == {}


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / state_file.NAME
    history, now = settled(4)
    state_file.save(path, history, 5000.0, now)
    # 30 s later, in a process whose clock began anew.
    loaded = state_file.load(path, 5030.0, 7.0)
    assert loaded.models[MODEL].rounds[-1].at == pytest.approx(7.0 - 30.0 - 15.0)
    shifted = history.shifted(7.0 - 30.0 - now).models[MODEL]
    assert loaded.models[MODEL] == shifted
    assert shifted.forecast.level == history.models[MODEL].forecast.level
    assert replace(shifted, rounds=(), forecast=Forecast(), risk=None) == replace(
        history.models[MODEL], rounds=(), forecast=Forecast(), risk=None
    )
    described = fleet(1, 10)
    assert plan(7.0, seen(0.0, 4), loaded, described).wanted == 4
    assert plan(7.0, seen(0.0, 4), loaded, described).reason.code is Code.WORK  # the peak is remembered


def test_a_clock_that_was_set_back_makes_nothing_older(tmp_path: Path) -> None:
    path = tmp_path / state_file.NAME
    history, now = settled(2)
    state_file.save(path, history, 5000.0, now)
    assert state_file.load(path, 1000.0, 50.0).models[MODEL].rounds[-1].at == pytest.approx(35.0)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"v": 99, "history": {"models": {}}, "written": 1, "clock": 1}']
)
def test_a_state_that_cannot_be_read_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / state_file.NAME
    path.write_bytes(content)
    assert state_file.load(path, 0.0, 0.0) == History()
    assert state_file.load(tmp_path / "none", 0.0, 0.0) == History()


def test_without_a_past_what_runs_is_kept_for_a_window() -> None:
    described = fleet(1, 10, initial=6)
    told = [made.wanted for made, _ in rounds(described, lambda _, t: seen(0.0, t), 60)]
    assert told[:20] == [6] * 20
    assert told[-1] == 1


def test_the_page_names_every_reason_and_every_cause() -> None:
    page = (Path(__file__).parents[3] / "docs" / "autoscaling.md").read_text(encoding="utf-8")
    assert [word for word in (*Code, *Cause) if f"`{word.value}`" not in page] == []
    settings = Autoscaling()
    assert f"`prompt_token_weight` {settings.work.prompt_token_weight:g}" in page


def test_one_of_two_leads_until_it_resigns(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.leads()
    assert not second.leads()
    assert first.leads()
    first.resign()
    assert second.leads()
    assert not first.leads()
    second.resign()
    assert Alone().leads()


def test_the_lock_is_the_kernels(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    leader = FileLock(path)
    other = os.open(path, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert not leader.leads()
    os.close(other)  # as the end of a process closes it
    assert leader.leads()
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="cannot be opened"):
        FileLock(tmp_path / "file" / "lock")


def test_back_off_doubles_to_a_limit_with_jitter() -> None:
    backoff, waits = Backoff(), []
    for _ in range(12):
        backoff = backoff.failed(0.0, 15.0, 0.0)
        waits.append(backoff.until)
    assert waits[:4] == [15.0, 30.0, 60.0, 120.0]
    assert waits[-1] == LONGEST_S
    assert Backoff().failed(0.0, 15.0, 0.999).until == pytest.approx(7.5, abs=0.1)
    assert Backoff(failures=10_000).failed(0.0, 15.0, 0.0).until == LONGEST_S
