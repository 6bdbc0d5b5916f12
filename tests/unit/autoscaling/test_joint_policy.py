"""Plans across models, round by round: what moves, what it saves, and what happens when something is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from autoscaling_cases import reading, seen
from joint_cases import BIG, GPU, SMALL, moment, two

from autoscaling.bounds import Bounded
from autoscaling.history import History
from autoscaling.joint.flows import flows, without_shifts
from autoscaling.joint.problem import Lane
from autoscaling.plan import Code, Plan, Shift
from autoscaling.policies import Keda, Slo, Static, TokenWork
from autoscaling.policies.joint import Joint, joined
from autoscaling.snapshot import Cause, Reading, Snapshot
from serve.fleet import Fleet

pytestmark = pytest.mark.unit

INTERVAL_S = 15.0


def played(
    fleet: Fleet,
    big: float,
    small: float,
    rounds: int,
    languages: tuple[str, ...] = ("sv", "de"),
    up: Mapping[str, int] | None = None,
) -> list[Plan]:
    """Plans of a constant load, each applied at once."""
    history, up = History(), {BIG: 1, SMALL: 1, **(up or {})}
    policy = Bounded(Joint(TokenWork()))
    plans: list[Plan] = []
    shifts: tuple[Shift, ...] = ()
    for number in range(rounds):
        now = number * INTERVAL_S
        shot = moment(now, big, small, shifts, languages, up)
        plan = policy.plan(now, shot, history, fleet)
        history, _ = history.after(shot, plan, fleet)
        up = {name: one.wanted if one.wanted is not None else up[name] for name, one in plan.models.items()}
        shifts = plan.shifts
        plans.append(plan)
    return plans


def moved(plan: Plan) -> float:
    """The share of the small one's Swedish and German that moves, together."""
    return sum(one.share for one in plan.shifts)


def test_what_is_too_much_for_a_replica_moves_to_the_model_with_room() -> None:
    """11 requests a second of 100 tokens are a replica's work and a tenth more; the 70B has room for it."""
    plans = played(two(), big=4, small=11, rounds=8)
    assert [plans[0].models[name].needed for name in (BIG, SMALL)] == [1, 1]
    assert plans[0].models[SMALL].reason.code is Code.SHIFTED
    assert "100 tokens/s of sv, de have llama-3.3-70b-instruct to go to" in plans[0].models[SMALL].reason.words
    # With one replica it moves at once: a tenth of a replica, and what relieves it from 90% of use on.
    assert [(one.source, one.to) for one in plans[0].shifts] == [(SMALL, BIG)] * 2
    assert 0.1 < moved(plans[0]) / 2 < 0.25
    # It goes on as it began: what is moved changes nothing of what is planned for.
    assert {plan.models[SMALL].wanted for plan in plans} == {1}
    assert len({plan.shifts for plan in plans}) == 1
    assert plans[-1].models[SMALL].arriving == pytest.approx(1100)
    assert plans[-1].models[SMALL].away == pytest.approx(11 * moved(plans[-1]) / 2)


def test_a_replica_goes_when_its_work_has_room_elsewhere_and_its_load_moves_with_it() -> None:
    plans = played(two(), 4, 11, rounds=26, up={SMALL: 2})
    with_two = [plan for plan in plans if plan.models[SMALL].wanted == 2]
    assert with_two  # the window keeps it for a while
    assert all(not plan.shifts for plan in with_two)  # and while it is there nothing has to move
    assert plans[-1].models[SMALL].wanted == 1
    assert moved(plans[-1]) > 0.2


def test_without_room_each_has_its_own() -> None:
    plans = played(two(), big=9.5, small=11, rounds=3)
    assert [plans[0].models[name].needed for name in (BIG, SMALL)] == [1, 2]


def test_languages_that_only_one_has_do_not_move() -> None:
    plan = played(two(), big=4, small=11, rounds=1, languages=("th",))[0]
    assert plan.models[SMALL].needed == 2
    assert plan.shifts == ()


def test_switched_off_each_is_planned_by_itself() -> None:
    plan = played(two(joint={"enabled": False}), big=4, small=11, rounds=1)[0]
    assert plan.models[SMALL].needed == 2
    assert plan.shifts == ()


def test_no_flows_no_shifts_and_no_failure() -> None:
    shot = moment(0.0, 4, 11)
    for told in (replace(shot, flows={}, shifted={}), replace(shot, flows={BIG: {}, SMALL: {}})):
        plan = Joint(TokenWork()).plan(0.0, told, History(), two())
        assert plan.shifts == ()
        assert plan.models[SMALL].needed == 2


def test_what_moves_goes_on_while_nobody_tells_of_flows() -> None:
    fleet, in_force = two(), (Shift("sv", SMALL, BIG, 0.4),)
    shot = replace(moment(0.0, 4, 11, in_force), flows={})
    assert Joint(TokenWork()).plan(0.0, shot, History(shifts=in_force), fleet).shifts == in_force


@pytest.mark.parametrize("blind", [BIG, SMALL])
def test_a_blind_model_is_left_as_it_is_and_takes_no_part(blind: str) -> None:
    shot = moment(0.0, 4, 11)
    told = {**shot.models, blind: seen(None, cause=Cause.STALE)}
    plan = Joint(TokenWork()).plan(0.0, replace(shot, models=told), History(), two())
    assert plan.models[blind].blind is Cause.STALE
    assert plan.models[blind].needed is None
    assert plan.shifts == ()
    assert plan.models[SMALL].needed == (None if blind == SMALL else 2)


def test_warm_replicas_serve_a_model_that_sleeps() -> None:
    """Scaled to zero, a model's first requests go to the other one while its replica starts; what may not go there
    needs one all the same."""
    fleet = two(small={"min": 0, "initial": 0})
    plan = Joint(TokenWork()).plan(0.0, moment(0.0, 4, 1, replicas={SMALL: 0}), History(), fleet)
    assert plan.models[SMALL].needed == 1
    assert moved(plan) == pytest.approx(2 * 0.95 * (1 - 100 * 1.2 / fleet.model(BIG).context_tokens), rel=0.01)


def test_policies_that_tell_no_capacity_are_left_alone() -> None:
    plan = Joint(Static()).plan(0.0, moment(0.0, 4, 11), History(), two())
    assert {name: one.needed for name, one in plan.models.items()} == {BIG: 1, SMALL: 1}
    assert plan.shifts == ()


def test_who_is_planned_across_models() -> None:
    assert isinstance(joined(TokenWork(), two()), Joint)
    assert isinstance(joined(Slo(), two()), Joint)
    assert isinstance(joined(Keda(), two()), Keda)  # it stands for an autoscaler that knows nothing of this
    assert isinstance(joined(TokenWork(), two(joint={"enabled": False})), TokenWork)
    assert isinstance(joined(TokenWork(), two(joint={"enabled": False}, budget={"gpus": {GPU: 4}})), Joint)
    alone = two().model_copy(update={"models": two().models[:1]})
    assert isinstance(joined(TokenWork(), alone), TokenWork)
    assert joined(TokenWork(), two()).name == "token-work"


def test_a_budget_is_never_exceeded_while_gpus_are_held() -> None:
    """Both want more than there is: four GPUs, two of them held by the 70B and one by the 9B. One is free."""
    fleet = two(budget={"gpus": {GPU: 4}})
    plan = Joint(TokenWork()).plan(0.0, moment(0.0, 30, 30, languages=("th",)), History(), fleet)
    needed = {name: one.needed for name, one in plan.models.items()}
    assert needed == {BIG: 1, SMALL: 2}
    assert plan.models[BIG].reason.code is Code.BUDGET
    assert plan.gpus[GPU].budget == 4
    assert plan.gpus[GPU].held == 3
    assert plan.gpus[GPU].planned == 4
    # A draining replica holds its GPU until it has gone.
    draining = {**moment(0.0, 30, 30).models, SMALL: seen(30.0, target=1, draining=1)}
    later = Joint(TokenWork()).plan(0.0, replace(moment(0.0, 30, 30), models=draining), History(), fleet)
    assert later.models[SMALL].needed == 1
    assert later.gpus[GPU].held == 4


def test_gpus_go_over_as_they_come_free() -> None:
    """The 70B needs one replica where it has two; the 9B waits for its GPUs until they have drained."""
    fleet = two(budget={"gpus": {GPU: 5}})
    before = moment(0.0, 5, 28, languages=("th",), replicas={BIG: 2})
    plan = Joint(TokenWork()).plan(0.0, before, History(), fleet)
    assert {name: one.needed for name, one in plan.models.items()} == {BIG: 1, SMALL: 1}
    assert "have GPUs now" in plan.models[SMALL].reason.words
    gone = moment(15.0, 5, 28, languages=("th",))
    assert Joint(TokenWork()).plan(15.0, gone, History(), fleet).models[SMALL].needed == 3


def test_list_prices_can_make_a_move_dearer_than_a_replica() -> None:
    """100 tokens a second are 360,000 an hour: with the 70B's prices a million times as dear a replica is cheaper."""
    dear = {"input_usd_per_mtok": 9e5, "output_usd_per_mtok": 9e5}
    for basis, needed in (("marginal", 1), ("list", 2)):
        fleet = two(joint={"price_basis": basis})
        models = tuple(
            one.model_copy(update={"price": one.price.model_copy(update=dear)}) if one.id == BIG else one
            for one in fleet.models
        )
        plan = Joint(TokenWork()).plan(0.0, moment(0.0, 4, 11), History(), fleet.model_copy(update={"models": models}))
        assert plan.models[SMALL].needed == needed, basis


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_flows_without_shifts_are_what_was_meant_for_each(share: float) -> None:
    in_force = (Shift("sv", SMALL, BIG, share),) if share else ()
    shot = moment(0.0, 4, 11, in_force)
    told = flows(shot, in_force)
    assert told.natural[SMALL] == pytest.approx({"sv": 5.5, "de": 5.5})
    assert told.natural[BIG] == pytest.approx({"sv": 2.0, "de": 2.0})
    assert told.away(SMALL) == pytest.approx(5.5 * share)
    natural = without_shifts(shot, told)
    assert natural.models[SMALL].arrivals.value == pytest.approx(11)
    assert natural.models[BIG].arrivals.value == pytest.approx(4)


def test_what_two_models_sent_is_told_apart_by_their_shifts() -> None:
    """`c` took 3 a second in Swedish: of `a`, where 3 of its 4 stayed, and of `b`, where 6 of 8 did."""
    in_force = (Shift("sv", "a", "c", 0.25), Shift("sv", "b", "c", 0.25))
    shot = Snapshot(0.0, {}, rates({"a": {"sv": 3.0}, "b": {"sv": 6.0}, "c": {}}), rates({"c": {"sv": 3.0}}))
    told = flows(shot, in_force)
    assert told.moved == pytest.approx({Lane("sv", "a", "c"): 1.0, Lane("sv", "b", "c"): 2.0})
    assert {name: dict(one) for name, one in told.natural.items()} == {"a": {"sv": 4.0}, "b": {"sv": 8.0}, "c": {}}


def test_a_whole_language_that_moves_leaves_its_share_to_tell() -> None:
    in_force = (Shift("sv", "a", "c", 1.0),)
    shot = Snapshot(0.0, {}, rates({"a": {}, "c": {}}), rates({"c": {"sv": 3.0}}))
    assert flows(shot, in_force).natural["a"] == {"sv": 3.0}


def test_unknown_languages_and_models_without_answers_have_no_flows() -> None:
    told = rates({"a": {"other": 3.0, "sv": 1.0}, "b": {"sv": None}})
    assert {name: dict(one) for name, one in flows(Snapshot(0.0, {}, told), ()).natural.items()} == {"a": {"sv": 1.0}}


def rates(by_model: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, Reading]]:
    return {model: {tag: reading(rate) for tag, rate in told.items()} for model, told in by_model.items()}


def test_history_remembers_the_shifts_of_the_last_plan() -> None:
    fleet: Any = two()
    plan = played(fleet, 4, 11, 1)[0]
    history, _ = History().after(moment(0.0, 4, 11), plan, fleet)
    assert history.shifts == plan.shifts
    assert history.shifted(100.0).shifts == plan.shifts
