"""Replay: the same fleet changes nothing; another fleet's choices, costs and quality are summed as they would be."""

from __future__ import annotations

import pytest
from routing_fleets import entry, fleet

from serve.fleet.description import Fleet
from serve.routing import Hints, ModelState, Request
from serve.routing.decide import decide_observed
from serve.routing.log import Entry, Outcome, encoder, entry_of, parse, states_of
from serve.routing.observe import observe
from serve.routing.replay import NOBODY, Replay

pytestmark = pytest.mark.unit

TEXTS = {
    "nb": "Kan du forklare meg hvordan jeg søker om foreldrepenger når jeg er selvstendig?",
    "de": "Kannst du mir erklären, wie ich Elterngeld beantrage, wenn ich selbstständig bin?",
    "th": "คุณช่วยอธิบายได้ไหมว่าฉันจะขอลาเลี้ยงดูบุตรได้อย่างไร",
}


def of(price: float, quality: float = -4) -> Fleet:
    return fleet(
        entry("big", languages=["en", "nb", "nn", "de", "th"], price=(5, 5)),
        entry("small", languages=["nb", "de"], quality={"nb": quality, "de": quality}, price=(price, price)),
    )


def logged(fleet_: Fleet, request: Request, live: dict[str, ModelState] | None = None) -> Entry:
    observed = observe(request)
    decision = decide_observed(observed, request, fleet_, live or {}, 100.0)
    states = states_of(live or {}, decision)
    made = entry_of(decision, request, observed, states, "req", "", Outcome(200, decision.model, 1, 40, 0, 60, 2_000))
    return parse(encoder.encode(made))


def replayed(fleet_: Fleet, entries: list[Entry]) -> Replay:
    replay = Replay(fleet_)
    for one in entries:
        replay.add(one)
    return replay


def test_the_same_fleet_changes_nothing() -> None:
    entries = [logged(of(1), Request(text=text, hints=Hints(quality_floor=-10.0))) for text in TEXTS.values()]
    replay = replayed(of(1), entries)
    assert replay.changed == 0
    assert replay.total.would.cost_usd == pytest.approx(replay.total.was.cost_usd)
    assert replay.total.would.quality == replay.total.was.quality
    assert replay.paid_nano_usd == 6_000
    assert replay.models_was == replay.models_would == {"small": 2, "big": 1}


def test_a_dearer_model_loses_what_it_had() -> None:
    replay = replayed(of(9), [logged(of(1), Request(text=text)) for text in TEXTS.values()])
    assert replay.changed == 2
    assert set(replay.changes) == {("nb", "small", "big"), ("de", "small", "big")}
    assert all(change.cost_usd > 0 for change in replay.changes.values())
    assert replay.total.would.quality == 0.0
    assert replay.languages["th"].was.cost_usd == pytest.approx(replay.languages["th"].would.cost_usd)


def test_a_price_alone_moves_cost_and_no_choice() -> None:
    replay = replayed(of(0.5), [logged(of(1), Request(text=TEXTS["nb"]))])
    assert replay.changed == 0
    assert replay.total.would.cost_usd == pytest.approx(replay.total.was.cost_usd / 2)


def test_what_was_down_stays_down() -> None:
    down = {"small": ModelState(healthy=False)}
    assert replayed(of(1), [logged(of(1), Request(text=TEXTS["nb"]), down)]).models_would == {"big": 1}


def test_a_request_that_nobody_could_take_is_counted() -> None:
    replay = replayed(of(1), [logged(of(1), Request(model="gone", text=TEXTS["nb"]))])
    assert replay.models_would == {NOBODY: 1}
    assert replay.as_dict()["would"]["unanswered"] == 1


def test_another_prior_reads_other_languages() -> None:
    entries = [logged(of(1), Request(text="12345"))]
    replay = replayed(
        of(1).model_copy(update={"routing": of(1).routing.model_copy(update={"prior": {"nb": 1.0}})}), entries
    )
    assert replay.language_changes == {("other", "nb"): 1}
    assert replay.models_would == {"small": 1}
