"""The program across models: cases worked out by hand, and what holds of every problem."""

from __future__ import annotations

import itertools
from math import sqrt
from typing import Any

import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_cases import problem, site

from autoscaling.joint.greedy import greedy
from autoscaling.joint.problem import Answer, Lane, Problem, Road, Site, Terms, faults, judge
from autoscaling.joint.program import GAP, solve
from autoscaling.joint.reduce import TARGETS, reduced

pytestmark = pytest.mark.unit

LIMIT_S = 5.0


def test_a_little_too_much_moves_where_there_is_room() -> None:
    """110 and 60 by themselves need three replicas; together they fit two."""
    told = problem([site("a", 110), site("b", 60)], [("sv", "a", "b", 0.5)])
    found = solve(told, LIMIT_S)
    assert found.way == "optimum"
    assert found.answer.replicas == {"a": 1, "b": 1}
    # Ten of the 55 that are in Swedish.
    assert found.answer.share[Lane("sv", "a", "b")] == pytest.approx(10 / 55, abs=1e-6)
    # Two replicas, and moving ten units of work costs its share of a replica of 100, and beginning to.
    terms = told.terms
    assert found.judged.usd == pytest.approx(2 + 0.1 * (terms.shift + terms.change))


def test_nothing_moves_where_the_other_has_no_room_or_moving_costs_more() -> None:
    full = problem([site("a", 110), site("b", 95)], [("sv", "a", "b", 0.5)])
    assert solve(full, LIMIT_S).answer.replicas == {"a": 2, "b": 1}
    dear = problem([site("a", 110), site("b", 60)], [("sv", "a", "b", 0.5)], terms=Terms(shift=11.0, start=0.0))
    assert solve(dear, LIMIT_S).answer.replicas == {"a": 2, "b": 1}
    assert not any(solve(dear, LIMIT_S).answer.share.values())


def test_the_other_tokenizer_takes_more_room() -> None:
    lane = Lane("th", "a", "b")
    sites = {"a": site("a", 110), "b": site("b", 60)}
    for ratio, needed in ((3.9, 1), (4.1, 2)):  # ten units of work become 39 or 41, forty fit
        told = Problem(sites, {lane: Road(lane, 55, 0, ratio, 1.0)}, terms=Terms(start=0.0))
        assert solve(told, LIMIT_S).answer.replicas["a"] == needed


def test_no_more_moves_than_may() -> None:
    lane = Lane("sv", "a", "b")
    sites = {"a": site("a", 110), "b": site("b", 60)}
    for most, needed in ((0.19, 1), (0.17, 2)):  # of 55; ten have to move
        told = Problem(sites, {lane: Road(lane, 55, 0, 1.0, most)}, terms=Terms(start=0.0))
        assert solve(told, LIMIT_S).answer.replicas["a"] == needed


def test_headroom_that_two_lean_on_is_there_once() -> None:
    """a and b have 80 each and want 40 above it; c has 20. Each by itself: 2 + 2 + 1. Leaning on c: 1 + 1 + 1, where
    the 20 that each misses at its peak come to 20 + 0.41 x 20."""
    sites = [site("a", 80, 40), site("b", 80, 40), site("c", 20)]
    roads = [("sv", "a", "c", 1.0), ("de", "b", "c", 1.0)]
    assert greedy(problem(sites)).replicas == {"a": 2, "b": 2, "c": 1}
    found = solve(problem(sites, roads), LIMIT_S)
    assert found.answer.replicas == {"a": 1, "b": 1, "c": 1}
    assert found.judged.reserve["c"] == pytest.approx(20 + (sqrt(2) - 1) * 20, rel=1e-6)
    assert sum(found.judged.missed.values()) == pytest.approx(0, abs=1e-6)
    # What is shared is headroom: hardly anything moves now.
    assert sum(found.answer.share.values()) < 0.01
    # At peaks that come together all of it is needed: 65 + 40 do not fit, 65 + 28 do.
    together = problem([*sites[:2], site("c", 65)], roads, terms=Terms(start=0.0, together=1.0))
    assert sum(solve(together, LIMIT_S).answer.replicas.values()) == 4
    apart = problem([*sites[:2], site("c", 65)], roads)
    assert sum(solve(apart, LIMIT_S).answer.replicas.values()) == 3


def test_a_scarce_budget_goes_where_a_miss_costs_most() -> None:
    sites = [site("a", 200, missed_usd=1.0), site("b", 200, missed_usd=3.0), site("c", 50, least=1, missed_usd=0.1)]
    found = solve(problem(sites, budget={"H100-SXM-80GB": 4}), LIMIT_S)
    assert found.answer.replicas == {"a": 1, "b": 2, "c": 1}
    assert greedy(problem(sites, budget={"H100-SXM-80GB": 4})).replicas == {"a": 1, "b": 2, "c": 1}


def test_floors_stand_above_a_budget() -> None:
    sites = [site("a", 200, least=2), site("b", 200, least=1, outside=1)]
    told = problem(sites, budget={"H100-SXM-80GB": 1})
    assert told.limits() == {"H100-SXM-80GB": 4}
    for answer in (solve(told, LIMIT_S).answer, greedy(told)):
        assert answer.replicas == {"a": 2, "b": 1}
        assert faults(told, answer) == []


def test_gpus_of_other_kinds_have_no_part_in_a_budget() -> None:
    sites = [site("a", 200), site("b", 200, gpu="A100-SXM-80GB")]
    found = solve(problem(sites, budget={"H100-SXM-80GB": 1}), LIMIT_S)
    assert found.answer.replicas == {"a": 1, "b": 2}


def test_a_move_goes_on_where_ending_it_gains_less() -> None:
    """With room for everything at home, a move ends; with a replica at stake that is there, it does not begin."""
    lane = Lane("sv", "a", "b")
    sites = {"a": site("a", 110, least=2), "b": site("b", 60, least=1)}
    moving = Problem(sites, {lane: Road(lane, 55, 0, 1.0, 1.0, present=0.2)}, terms=Terms(shift=0.05, change=0.02))
    assert solve(moving, LIMIT_S).answer.share.get(lane, 0.0) == pytest.approx(0)
    sticky = Problem(sites, {lane: Road(lane, 55, 0, 1.0, 1.0, present=0.2)}, terms=Terms(shift=0.01, change=0.02))
    assert solve(sticky, LIMIT_S).answer.share[lane] == pytest.approx(0.2)


def test_a_replica_that_has_to_start_costs_more_than_one_that_runs() -> None:
    """Either model could take the other's ten; the one that runs two already does."""
    roads = [("sv", "a", "b", 1.0), ("sv", "b", "a", 1.0)]
    for running in ("a", "b"):
        sites = [site(name, 105, present=2 if name == running else 1) for name in ("a", "b")]
        found = solve(problem(sites, roads, terms=Terms(start=0.3)), LIMIT_S)
        assert found.answer.replicas[running] == 2
        assert sum(found.answer.replicas.values()) == 3


@pytest.mark.parametrize("error", [ImportError("No module named 'scipy'"), ValueError("a solver's bug")])
def test_without_a_solver_the_greedy_rule_plans(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(scipy.optimize, "milp", fails)
    found = solve(problem([site("a", 110), site("b", 60)], [("sv", "a", "b", 0.5)]), LIMIT_S)
    assert (found.way, found.gap) == ("greedy", None)
    assert str(error) in found.why
    assert found.answer.replicas == {"a": 1, "b": 1}


def test_an_answer_that_breaks_a_bound_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = scipy.optimize.milp

    def lies(*args: Any, **more: Any) -> Any:
        result = solver(*args, **more)
        result.x[0] = 99  # replicas of the first model
        return result

    monkeypatch.setattr(scipy.optimize, "milp", lies)
    told = problem([site("a", 110), site("b", 60)], [("sv", "a", "b", 0.5)])
    assert faults(told, solve(told, LIMIT_S).answer) == []


def test_faults_are_told() -> None:
    told = problem([site("a", 110, most=2), site("b", 60)], [("sv", "a", "b", 0.5)], budget={"H100-SXM-80GB": 3})
    lane = Lane("sv", "a", "b")
    assert faults(told, Answer({"a": 2, "b": 1}, {lane: 1.0})) == []
    assert len(faults(told, Answer({"a": 3, "b": 1}))) == 2  # bound and budget
    assert len(faults(told, Answer({"a": 1, "b": 1}, {lane: 1.1}))) == 1
    assert len(faults(told, Answer({"a": 1, "b": 1}, {lane: -0.1}))) == 1


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to four models and three languages, every lane or some of them; perhaps a budget."""
    names = "abcd"[: draw(st.integers(1, 4))]
    amounts = st.floats(0, 350).map(lambda value: round(value, 1))
    sites: dict[str, Site] = {}
    for name in names:
        least = draw(st.integers(0, 2))
        sites[name] = site(
            name,
            draw(amounts),
            draw(amounts) / 4,
            usd=draw(st.sampled_from([0.0, 1.0, 2.5])),
            least=least,
            most=draw(st.integers(max(least, 1), 6)),
            present=draw(st.integers(0, 4)),
            missed_usd=draw(st.sampled_from([0.05, 1.0])),
            gpus=draw(st.integers(0, 2)),
            outside=draw(st.integers(0, 2)),
        )
    roads = {}
    for source, to in itertools.permutations(names, 2):
        for language in ("sv", "de", "th"):
            if draw(st.booleans()):
                lane = Lane(language, source, to)
                part, most = draw(st.sampled_from([0.05, 0.3])), draw(st.sampled_from([0.4, 0.95]))
                roads[lane] = Road(
                    lane, sites[source].base * part, sites[source].reserve * part,
                    draw(st.sampled_from([0.8, 1.0, 1.5])), most,
                    draw(st.sampled_from([0.0, 0.0, 0.1])), draw(st.sampled_from([0.0, 0.001])),
                )  # fmt: skip
    budget = draw(st.sampled_from([{}, {"H100-SXM-80GB": 3}, {"H100-SXM-80GB": 8}]))
    return Problem(sites, roads, budget)


@settings(max_examples=15, deadline=None)
@given(told=problems())
def test_every_answer_is_feasible_and_moving_is_never_worse_than_not(told: Problem) -> None:
    found, simple = solve(told, LIMIT_S), greedy(told)
    assert faults(told, found.answer) == []
    assert faults(told, simple) == []
    still = judge(told, Answer(greedy(Problem(told.sites, {}, told.budget)).replicas))
    assert found.judged.usd <= still.usd * (1 + 1e-9) + 1e-9
    assert judge(told, simple).usd <= still.usd * (1 + 1e-9) + 1e-9


@settings(max_examples=15, deadline=None)
@given(told=problems())
def test_nobody_beats_the_optimum(told: Problem) -> None:
    """The greedy rule does not, nor does any number of replicas without moves."""
    smaller = reduced(told)
    if sum(map(len, smaller.members.values())) < len(told.roads):
        return  # lanes were left out: another problem's optimum
    found = solve(told, LIMIT_S)
    if found.way != "optimum":
        return
    least = found.judged.usd * (1 - GAP) - 1e-6
    if all(len(several) == 1 for several in smaller.members.values()):
        assert judge(told, greedy(told)).usd >= least
    for counts in itertools.product(*(range(one.least, one.most + 1) for one in told.sites.values())):
        answer = Answer(dict(zip(told.sites, counts, strict=True)))
        if not faults(told, answer):
            assert judge(told, answer).usd >= least


@settings(max_examples=15, deadline=None)
@given(told=problems(), share=st.floats(0, 1))
def test_an_answer_of_the_reduced_problem_is_one_of_the_whole(told: Problem, share: float) -> None:
    smaller = reduced(told)
    targets: dict[str, set[str]] = {}
    used: dict[tuple[str, str], float] = {}
    shares: dict[Lane, float] = {}
    for lane, road in smaller.problem.roads.items():
        targets.setdefault(lane.source, set()).add(lane.to)
        left = 1 - used.get((lane.language, lane.source), 0.0)
        shares[lane] = share * left * road.most
        used[lane.language, lane.source] = used.get((lane.language, lane.source), 0.0) + share * left
    assert all(len(several) <= TARGETS + 3 for several in targets.values())
    counts = {name: one.least for name, one in told.sites.items()}
    one = Answer(counts, shares)
    assert faults(smaller.problem, one) == []
    assert faults(told, smaller.whole(one)) == []
