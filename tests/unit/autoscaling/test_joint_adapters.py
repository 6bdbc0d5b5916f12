"""Flows as Prometheus tells of them, the settings, and the plan as the router reads it."""

from __future__ import annotations

import json
import math

import pytest
from joint_cases import BIG, GPU, SMALL, moment, two

from autoscaling import queries
from autoscaling.history import History
from autoscaling.instruments import Instruments, Outcome
from autoscaling.plan import Plan, Shift
from autoscaling.policies import TokenWork
from autoscaling.policies.joint import Joint
from autoscaling.prometheus import Reader, Round, Series
from autoscaling.published import Done, Published, as_json
from autoscaling.queries import Source
from autoscaling.snapshot import Cause
from serve.errors import DescriptionError
from serve.gateway.shifts import told_by
from serve.routing.records import Shift as Followed

pytestmark = pytest.mark.unit

NOW = 1_000_000.0
FLEET = two()


def answers(stayed: object, shifted: object = (), age_s: float = 2.0) -> Round:
    at = tuple(Series({"model": model}, NOW, NOW - age_s) for model in (BIG, SMALL))
    return Round({"flows": stayed, "shifted": shifted}, {Source.GATEWAY: at})  # type: ignore[dict-item]


def series(model: str, language: str, value: float) -> Series:
    return Series({"model": model, "language": language}, NOW, value)


def test_requests_with_a_choice_are_asked_for_by_model_and_language() -> None:
    stayed, shifted = queries.flows(FLEET)
    assert (stayed.name, shifted.name) == ("flows", "shifted")
    assert str(stayed.expression).startswith("sum by (model, language) (rate(parlance_requests_total{")
    assert 'reason="cheapest"' in str(stayed.expression)
    assert 'reason="shifted"' in str(shifted.expression)


def test_flows_are_read_by_model_and_language() -> None:
    told = answers((series(SMALL, "sv", 3.0), series(SMALL, "de", 1.0)), (series(BIG, "sv", 0.5),))
    stayed, shifted = Reader(FLEET).flows(told, (BIG, SMALL))
    assert {tag: one.value for tag, one in stayed[SMALL].items()} == {"sv": 3.0, "de": 1.0}
    assert stayed[BIG] == {}  # nothing came: that is known
    assert (shifted[BIG]["sv"].value, shifted[BIG]["sv"].age_s) == (0.5, 2.0)


def test_what_is_not_answered_is_not_there() -> None:
    reader = Reader(FLEET)
    assert reader.flows(answers(None, None), (BIG, SMALL)) == ({}, {})
    assert reader.flows(Round({}, {}), (BIG,)) == ({}, {})
    assert list(reader.flows(answers(()), (BIG, "unknown"))[0]) == [BIG]


@pytest.mark.parametrize(
    ("value", "age_s", "cause"), [(math.nan, 2.0, Cause.INVALID), (-1.0, 2.0, Cause.INVALID), (1.0, 900.0, Cause.STALE)]
)
def test_a_flow_that_cannot_be_has_a_cause(value: float, age_s: float, cause: Cause) -> None:
    stayed, _ = Reader(FLEET).flows(answers((series(SMALL, "sv", value),), (), age_s), (SMALL,))
    assert stayed[SMALL]["sv"].cause is cause
    # One absurd figure, and the model's flows are not known: nothing is moved by them.
    shot = moment(0.0, 4, 11)
    plan = Joint(TokenWork()).plan(0.0, type(shot)(0.0, shot.models, stayed), History(), FLEET)
    assert plan.shifts == ()


def shown(plan: Plan) -> dict[str, object]:
    done = dict.fromkeys((BIG, SMALL), Done(Outcome.UNCHANGED))
    last = Published(100.0, plan, moment(0.0, 4, 11), done, 0.1)
    read: dict[str, object] = json.loads(
        json.dumps(as_json(last, leads=True, dry_run=False, interval_s=15, wall=101.0))
    )
    return read


def test_the_router_reads_the_shifts_that_are_published() -> None:
    fleet = two(budget={"gpus": {GPU: 4}})
    plan = Joint(TokenWork()).plan(0.0, moment(0.0, 4, 11), History(), fleet)
    page = shown(plan)
    assert page["budget"] == {GPU: {"gpus": 4, "held": 3, "planned": 3}}
    assert page["joint"] == {"found": "optimum", "gap": 0, "usd_per_hour": pytest.approx(12, abs=0.2), "problem": ""}
    told = told_by(page, (BIG, SMALL))
    assert told is not None
    assert {language: tuple(ones) for language, ones in told.shifts.items()} == {
        one.language: (Followed(SMALL, BIG, one.share),) for one in plan.shifts
    }
    assert len(told.shifts) == 2


def test_before_the_first_round_there_are_none() -> None:
    page = as_json(None, leads=False, dry_run=False, interval_s=15, wall=0.0)
    assert (page["shifts"], page["budget"], page["joint"]) == ([], {}, None)


def test_what_shifts_take_is_a_metric() -> None:
    in_force = (Shift("sv", SMALL, BIG, 0.5),)
    shot = moment(0.0, 4, 11, in_force)
    plan = Joint(TokenWork()).plan(0.0, shot, History(shifts=in_force), FLEET)
    instruments = Instruments(FLEET)
    instruments.planned(plan, shot)
    name = "parlance_autoscaler_shifted_requests_per_second"
    assert instruments.registry.get_sample_value(name, {"model": SMALL}) == pytest.approx(2.75)
    assert instruments.registry.get_sample_value(name, {"model": BIG}) == pytest.approx(-2.75)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"budget": {"gpus": {"H100": 4}}}, "none of the known GPUs"),
        ({"budget": {"gpus": {GPU: -1}}}, "autoscaling.budget.gpus"),
        ({"joint": {"together": 1.5}}, "autoscaling.joint.together"),
        ({"joint": {"price_basis": "average"}}, "autoscaling.joint.price_basis"),
        ({"joint": {"time_limit_s": 0}}, "autoscaling.joint.time_limit_s"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(settings: dict[str, object], field: str) -> None:
    with pytest.raises(DescriptionError, match=field):
        two(**settings)
