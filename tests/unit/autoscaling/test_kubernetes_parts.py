"""What is told as an event and how often; how the history fits a ConfigMap; what a new leader makes of a gap."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace

import pytest
from autoscaling_cases import INTERVAL_S, MODEL, fleet, plan, seen, settled, snapshot

from autoscaling import state_file
from autoscaling.handover import after_gap
from autoscaling.history import History, ModelHistory, Round
from autoscaling.instruments import Outcome
from autoscaling.kubernetes import memory
from autoscaling.kubernetes.api import micro_time
from autoscaling.kubernetes.events import LONGEST_NOTE, _cut
from autoscaling.kubernetes.reports import reports
from autoscaling.kubernetes.series import BURST, REFILL_S, SAME_S, Series, Told
from autoscaling.learnt import Capacity
from autoscaling.plan import Code, ModelPlan, Plan, Reason
from autoscaling.published import Done, Published
from autoscaling.snapshot import Cause
from serve.errors import DescriptionError
from serve.fleet.loader import resolve

pytestmark = pytest.mark.unit


def published(
    wanted: int = 1,
    target: int = 1,
    outcome: Outcome = Outcome.UNCHANGED,
    blind: Cause | None = None,
    problem: str = "",
) -> Published:
    reason = Reason(Code.BLIND, "waiting: no data; kept") if blind else Reason(Code.WORK, "500 tokens a second")
    model = ModelPlan(MODEL, wanted, reason, target=target, blind=blind)
    return Published(
        1e9, Plan(0.0, "token-work", {MODEL: model}), snapshot(0.0, seen()), {MODEL: Done(outcome, problem)}, 0.1
    )


def told(before: Published | None, now: Published) -> list[tuple[str, bool, str]]:
    return [(report.reason, report.warning, report.note) for report in reports(before, now)]


def test_changes_are_told_with_the_plan_s_words() -> None:
    up, down = published(3, 1, Outcome.APPLIED), published(1, 2, Outcome.APPLIED)
    assert told(None, up) == [("ScaledUp", False, f"{MODEL}: 1 -> 3 replicas: 500 tokens a second")]
    assert told(up, down)[0][0] == "ScaledDown"
    failed = published(2, 1, Outcome.FAILED, problem="status 412")
    assert told(None, failed) == [("ScaleFailed", True, f"{MODEL}: 1 -> 2 replicas: 500 tokens a second; status 412")]


def test_rounds_that_change_nothing_tell_nothing() -> None:
    quiet = [published(), published(2, 1, Outcome.DEFERRED), published(2, 1, Outcome.DRY_RUN)]
    assert [told(None, one) for one in quiet] == [[], [], []]


def test_a_hold_is_told_when_it_begins_and_when_it_ends() -> None:
    sees, blind = published(), published(blind=Cause.MISSING)
    assert told(sees, blind) == [("BlindHoldBegan", True, f"{MODEL}: waiting: no data; kept")]
    assert told(None, blind)[0][0] == "BlindHoldBegan"  # a new leader's hold is news too
    assert told(blind, blind) == []
    assert [one[0] for one in told(blind, sees)] == ["BlindHoldEnded"]


def test_the_same_event_is_counted_and_not_written_anew() -> None:
    series = Series().after("key", Told("event-1", 1, 100.0))
    assert series.again(100.0 + SAME_S, "key") == Told("event-1", 2, 100.0 + SAME_S)
    assert series.again(101.0 + SAME_S, "key") is None
    assert series.again(101.0, "other") is None


def test_a_flood_of_events_is_cut_off_and_flows_again() -> None:
    series: Series | None = Series(at=0.0)
    for _ in range(BURST):
        assert series is not None
        series = series.spent(1.0)
    assert series is not None
    assert series.spent(2.0) is None
    assert series.spent(1.0 + REFILL_S) is not None


def test_few_events_are_remembered() -> None:
    series = Series()
    for number in range(2000):
        series = series.after(number, Told(f"e{number}", 1, number * 0.1))
    assert len(series.told) <= 256
    assert series.again(200.0, 1999) is not None


def test_notes_are_cut_by_bytes_and_stay_text() -> None:
    assert _cut("short") == "short"
    cut = _cut("å" * 2000)
    assert len(cut.encode()) <= LONGEST_NOTE
    assert cut.endswith("å…")


def test_micro_times_always_have_six_digits() -> None:
    assert micro_time(1_700_000_000.0) == "2023-11-14T22:13:20.000000Z"
    assert micro_time(1_700_000_000.25) == "2023-11-14T22:13:20.250000Z"


def long_history(models: int, rounds: int) -> History:
    """Of figures that do not compress."""
    chance = random.Random(7)
    past = tuple(Round(n * 15.0, chance.random() * 1e4, n % 9, n % 7, n % 5) for n in range(rounds))
    return History({f"model-{n}": ModelHistory(Capacity.of(100.0 + n), past) for n in range(models)})


def test_a_history_is_packed_and_read_again() -> None:
    history = long_history(3, 40)
    data = memory.packed(history, 1000.0, 50.0)
    back = state_file.decoded(memory._unpacked(data), "test", 1010.0, 7.0)
    assert back.models["model-2"].rounds[-1].at == pytest.approx(history.models["model-2"].rounds[-1].at - 50 - 10 + 7)


def test_a_history_that_is_too_large_loses_its_older_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_BYTES", 20_000)
    history = long_history(5, 400)
    data = memory.packed(history, 0.0, 0.0)
    assert len(data) <= 20_000
    kept = state_file.decoded(memory._unpacked(data), "test", 0.0, 0.0).models["model-4"].rounds
    assert 10 < len(kept) < 400
    assert kept[-1] == history.models["model-4"].rounds[-1]


def test_what_is_no_packed_history_is_refused() -> None:
    with pytest.raises(ValueError, match="cut off"):
        memory._unpacked(gzip.compress(b"x" * 10_000)[:-9])


def test_a_new_leader_holds_what_it_did_not_see() -> None:
    """The leader before died in the window; need rose and fell again after its last record."""
    described = fleet(1, 100)
    past, ended = settled(5)
    low = History(
        {
            MODEL: replace(
                past.models[MODEL],
                rounds=tuple(replace(r, needed=2, arriving=200.0) for r in past.models[MODEL].rounds),
            )
        }
    )
    now = ended + 60
    forgot = plan(now, seen(2.0, 5), low, described)
    assert forgot.wanted is not None
    assert forgot.wanted < 5  # as if nothing had been needed in the minute that nobody kept
    bridged = after_gap(low, now, 3 * INTERVAL_S)
    assert plan(now, seen(2.0, 5), bridged, described).wanted == 5
    assert after_gap(low, ended, 3 * INTERVAL_S) == low


@pytest.mark.parametrize(
    ("kubernetes", "state_dir", "words"),
    [
        ({}, "state", "give one of them"),
        ({"retry_s": 19}, None, "one lost call ends the leadership"),
        ({"renew_deadline_s": 30}, None, "a leader stops before another may begin"),
        ({"renew_deadline_s": 27}, None, "what a leader has begun ends before another leads"),
        ({"lease": "Leader"}, None, "a Kubernetes name"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    kubernetes: dict[str, object], state_dir: str | None, words: str
) -> None:
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648}
    autoscaling = {"kubernetes": kubernetes, **({"state_dir": state_dir} if state_dir else {})}
    with pytest.raises(DescriptionError, match=words):
        resolve({"models": [{"use": MODEL, "engine": engine}], "autoscaling": autoscaling}, "test")


def test_a_rayservice_needs_kubernetes_and_knows_its_models() -> None:
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648}
    cluster = {"rayservice": {"name": "x", "worker_groups": {"other": "gpu"}}}
    with pytest.raises(DescriptionError) as refused:
        resolve({"models": [{"use": MODEL, "engine": engine}], "clusters": {"a": cluster, "b": cluster}}, "test")
    said = str(refused.value)
    assert "needs autoscaling.kubernetes" in said
    assert "is that of clusters.a: one cluster each" in said
    assert "'other': a model that runs on this cluster: none" in said
