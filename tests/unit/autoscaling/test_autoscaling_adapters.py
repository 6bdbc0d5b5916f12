"""What Prometheus and Ray Serve answer becomes records; what they should not answer, causes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from autoscaling_cases import MODEL, fleet

from autoscaling import queries
from autoscaling.bounds import Bounded
from autoscaling.history import History
from autoscaling.policies import POLICIES
from autoscaling.prometheus import Reader, Round, Series
from autoscaling.queries import Source, duration
from autoscaling.ray_serve import application
from autoscaling.snapshot import READINGS, Cause, Reading, Replicas, Seen, Snapshot

pytestmark = pytest.mark.unit

NOW = 1_000_000.0
REPLICAS = Replicas(2, 2)


def answers(values: dict[str, Any] | None = None, gateway_age_s: float = 2.0, engine_age_s: float = 5.0) -> Round:
    """A round in which two engines and a gateway answer 1 everywhere, but for `values` by query: a number for all of
    its series, or the series themselves."""
    out: dict[str, tuple[Series, ...] | None] = {}
    for query in queries.queries(fleet()):
        given = (values or {}).get(query.name, 1.0)
        if query.source is Source.ENGINES:
            labels = [{"model_name": MODEL, "ReplicaId": name} for name in ("a", "b")]
        else:
            labels = [{} if query.source is Source.FLEET else {"model": MODEL}]
        out[query.name] = (
            tuple(Series(one, NOW, float(given)) for one in labels) if isinstance(given, int | float) else given
        )
    times = {
        Source.GATEWAY: (Series({"model": MODEL}, NOW, NOW - gateway_age_s),),
        Source.ENGINES: tuple(
            Series({"model_name": MODEL, "ReplicaId": name}, NOW, NOW - engine_age_s) for name in ("a", "b", "dead")
        ),
    }
    return Round(out, times)


def read(told: Round, running: tuple[str, ...] = ("a", "b"), replicas: Replicas | Cause = REPLICAS) -> Seen:
    return Reader(fleet()).seen(MODEL, told, running, replicas)


def test_every_query_gives_a_reading() -> None:
    names = [query.name for query in queries.queries(fleet())]
    assert sorted(names) == sorted((*READINGS, "refused_by_all", "spilled"))


def test_figures_of_gateways_and_the_sum_over_running_replicas() -> None:
    told = read(answers({"kv_use": 0.5}))
    assert (told.finished.value, told.finished.age_s) == (1.0, 2.0)
    assert (told.waiting.value, told.waiting.age_s) == (2.0, 5.0)
    assert told.kv_use.value == 0.5  # the mean
    assert told.replicas == REPLICAS
    assert told.replicas_cause is None


def test_what_a_dead_replica_left_behind_does_not_count() -> None:
    left = tuple(Series({"model_name": MODEL, "ReplicaId": name}, NOW, 7.0) for name in ("a", "dead"))
    assert read(answers({"waiting": left})).waiting.value == 7.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e12])
@pytest.mark.parametrize("name", ["finished", "waiting", "kv_use", "ttft_within"])
def test_absurd_figures_are_invalid(name: str, value: float) -> None:
    told = read(answers({name: value}))
    assert told.readings()[name].cause is Cause.INVALID


def test_one_absurd_replica_is_not_hidden_in_a_sum() -> None:
    pair = (
        Series({"model_name": MODEL, "ReplicaId": "a"}, NOW, -5.0),
        Series({"model_name": MODEL, "ReplicaId": "b"}, NOW, 9.0),
    )
    assert read(answers({"waiting": pair})).waiting.cause is Cause.INVALID


def test_old_samples_are_stale() -> None:
    assert read(answers(gateway_age_s=61)).finished.cause is Cause.STALE
    assert read(answers(gateway_age_s=61)).waiting.value == 2.0
    assert read(answers(engine_age_s=61)).waiting.cause is Cause.STALE


def test_counters_that_never_counted_are_zero_where_their_exporter_answers() -> None:
    told = read(answers(dict.fromkeys(("prompt_tokens", "refused", "spilled", "worked_prompt_tokens"), ())))
    assert [told.prompt_tokens.value, told.refused.value, told.worked_prompt_tokens.value] == [0.0, 0.0, 0.0]
    gone = Round(answers({"prompt_tokens": ()}).answers, {Source.GATEWAY: (), Source.ENGINES: ()})
    assert read(gone).prompt_tokens.cause is Cause.MISSING
    assert read(answers({"finished": ()})).finished.cause is Cause.MISSING


def test_no_answer_is_unreachable() -> None:
    silent = Round(dict.fromkeys(answers().answers), dict.fromkeys((Source.GATEWAY, Source.ENGINES)), "refused")
    assert {reading.cause for reading in read(silent).readings().values()} == {Cause.UNREACHABLE}


def test_engines_that_export_nothing_are_idle_only_while_nothing_is_open() -> None:
    fresh = answers({"in_flight": 0.0})
    quiet = Round(fresh.answers, {**fresh.times, Source.ENGINES: ()})
    assert read(quiet).waiting.value == 0.0
    busy = answers({"in_flight": 3.0})
    assert read(Round(busy.answers, {**busy.times, Source.ENGINES: ()})).waiting.cause is Cause.MISSING


@pytest.mark.parametrize("left_behind", [(), ("dead",)])
def test_requests_that_are_held_for_a_model_without_replicas_are_seen(left_behind: tuple[str, ...]) -> None:
    held = answers({"in_flight": 1.0, "finished": 0.0, "growth": 0.02, "refused": 0.0, "spilled": 0.0})
    engines = tuple(Series({"model_name": MODEL, "ReplicaId": name}, NOW, NOW - 900) for name in left_behind)
    none = Round(held.answers, {**held.times, Source.ENGINES: engines})
    seen = read(none, (), Replicas(0, 0))
    assert (seen.arrivals.value, seen.waiting.value, seen.in_flight.value) == (0.02, 0.0, 1.0)
    assert read(none, (), Replicas(1, 0, starting=1)).waiting.value == 0.0
    assert read(none, ("a",), Replicas(1, 1)).waiting.cause is Cause.MISSING
    silent = Round(held.answers, {**held.times, Source.ENGINES: None})
    assert read(silent, (), Replicas(0, 0)).waiting.cause is Cause.UNREACHABLE


@pytest.mark.parametrize(
    ("policy", "growth"),
    [("slo", 0.02), ("slo", 0.0), ("token-work", 0.02), ("token-work", 0.0), ("ray-default", 0.0), ("keda", 0.02)],
)
def test_one_held_request_starts_a_replica(policy: str, growth: float) -> None:
    """Growth 0: it is held for longer than the window already; KEDA, which triggers on a rate, must see it arrive. HPAs
    never come back from no replica."""
    described = fleet(0, 4, initial=0, policy=policy)
    quiet = dict.fromkeys(("finished", "refused", "spilled", "output_tokens"), 0.0)
    held = answers({**quiet, "in_flight": 1.0, "growth": growth})
    seen = Reader(described).seen(MODEL, Round(held.answers, {**held.times, Source.ENGINES: ()}), (), Replicas(0, 0))
    made = Bounded(POLICIES[policy]).plan(0.0, Snapshot(0.0, {MODEL: seen}), History(), described).models[MODEL]
    assert (made.needed, made.wanted) == (1, 1), made.reason.words
    gone = replace(seen, in_flight=Reading(0.0, 2.0), growth=Reading(0.0, 2.0))
    asleep = Bounded(POLICIES[policy]).plan(0.0, Snapshot(0.0, {MODEL: gone}), History(), described).models[MODEL]
    assert asleep.wanted == 0


def test_no_more_refusals_than_the_fleet_had() -> None:
    assert read(answers({"refused": 9.0, "refused_by_all": 0.5, "spilled": 0})).refused.value == 0.5
    assert read(answers({"refused": 0.2, "refused_by_all": 0.5, "spilled": 0})).refused.value == 0.2


def test_what_other_models_took_for_one_that_is_down_comes_back_to_it() -> None:
    spilled = read(answers({"refused": 9.0, "refused_by_all": 0.0, "spilled": 0.25}), (), Replicas(0, 0))
    assert spilled.refused.value == 0.25
    assert read(answers({"spilled": -1.0})).refused.cause is Cause.INVALID


def test_replicas_that_are_not_known() -> None:
    told = read(answers(), (), Cause.UNREACHABLE)
    assert told.replicas is None
    assert told.replicas_cause is Cause.UNREACHABLE


def test_durations() -> None:
    assert [duration(s) for s in (60, 90.0, 1.5, 0.25)] == ["60s", "90s", "1500ms", "250ms"]


def entry(
    status: str = "RUNNING", deployment: str = "HEALTHY", states: tuple[str, ...] = ("RUNNING",)
) -> dict[str, Any]:
    replicas = [{"replica_id": f"r{n}", "state": state} for n, state in enumerate(states)]
    told = {"name": "vllm", "status": deployment, "target_num_replicas": 2, "replicas": replicas}
    return {"status": status, "deployments": {"vllm": told}}


def test_an_application_as_ray_serve_tells_of_it() -> None:
    states = ("RUNNING", "STARTING", "STOPPING", "PENDING_MIGRATION", "RECOVERING")
    told = application("a", entry(states=states))
    assert told is not None
    assert told.replicas == Replicas(target=2, running=2, starting=2, draining=1)
    assert told.running == ("r0", "r3")
    assert told.deployment == "vllm"


@pytest.mark.parametrize(
    ("status", "deployment", "changing"),
    [
        ("RUNNING", "HEALTHY", False),
        ("DEPLOYING", "UPSCALING", False),  # by the scale API: Ray Serve calls that deploying too
        ("DEPLOYING", "DOWNSCALING", False),
        ("DEPLOYING", "UPDATING", True),
        ("DEPLOYING", "HEALTHY", True),  # its new version is being built
        ("DELETING", "HEALTHY", True),
        ("UNHEALTHY", "UNHEALTHY", False),
    ],
)
def test_a_new_configuration_is_told_from_a_new_number(status: str, deployment: str, changing: bool) -> None:
    told = application("a", entry(status, deployment))
    assert told is not None
    assert told.replicas.changing is changing


def test_an_application_without_a_deployment_is_none() -> None:
    assert application("a", {"status": "DEPLOYING", "deployments": {}}) is None
