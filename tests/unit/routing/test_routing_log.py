"""The decision log's entries: a decision can be made again from what they keep, and they keep no words."""

from __future__ import annotations

import pytest
from routing_fleets import entry, fleet

from serve.routing import Hints, ModelState, Request
from serve.routing.decide import decide_observed
from serve.routing.log import Entry, Outcome, encoder, entry_of, live_of, parse, states_of
from serve.routing.observe import observe
from serve.routing.records import MeasuredPrice

pytestmark = pytest.mark.unit

TEXT = "Kan du skrive ein kort tekst om korleis fjordane vart til?"


def logged(request: Request, live: dict[str, ModelState], *, with_text: bool = False) -> tuple[Entry, object]:
    observed = observe(request)
    decision = decide_observed(observed, request, NORDIC, live, 12.0)
    states = states_of(live, decision)
    return entry_of(
        decision, request, observed, states, "req-1", "acme", Outcome(200, "big", 1, 30, 0, 90, 5), with_text
    ), decision


NORDIC = fleet(
    entry("big", languages=["en", "nb", "nn", "th"], price=(5, 5)),
    entry("small", languages=["nb"], quality={"nb": -4, "nn": -6, "en": -2}, price=(1, 1)),
    entry("far", languages=["nb"], quality={"nb": -40, "nn": -40}, price=(0.1, 0.1)),
)
LIVE = {
    "small": ModelState(
        in_flight=3,
        wait_s=0.5,
        token_ratios={"nn": 1.3, "de": 0.7},
        answer_tokens={("nn", ""): 77.0, ("de", ""): 5.0},
        penalties={"nn": 2.0, "de": 9.0},
        measured=MeasuredPrice(1e-6, 2e-6, 3e-6, 4e-6),
    ),
    "far": ModelState(healthy=False, reason="down"),
}


@pytest.mark.parametrize(
    "request_",
    [
        Request(text=TEXT),
        Request(text=TEXT, instructions="Answer in Thai.", max_output_tokens=20, turns=2),
        Request(text="ja", earlier=(TEXT,), hints=Hints(quality_floor=-5.0, models=("small", "big"))),
        Request(text="", characters=900, mix=(("nn", 0.8), ("en", 0.2)), cached_characters={"small": 500}),
        Request(model="small", text=TEXT, allowed_models=frozenset({"small"})),
        Request(model="nobody", text=TEXT),
    ],
)
def test_the_same_fleet_decides_the_same_again(request_: Request) -> None:
    made, decision = logged(request_, LIVE)
    again = parse(encoder.encode(made))
    assert again == made
    repeated = decide_observed(again.observed, again.request, NORDIC, live_of(again), again.at)
    assert (repeated.model, repeated.reason_code, repeated.ranking) == (
        decision.model, decision.reason_code, decision.ranking)  # fmt: skip
    assert [(c.model, c.cost_usd, c.quality, c.rejection) for c in repeated.candidates] == [
        (c.model, c.cost_usd, c.quality, c.rejection) for c in decision.candidates
    ]


def test_no_word_of_the_prompt_is_kept() -> None:
    made, _ = logged(Request(text=TEXT, earlier=("Fyrste spørsmål",), instructions="Ver snill"), LIVE)
    line = encoder.encode(made).decode()
    assert not any(word in line for word in ("fjordane", "Fyrste", "snill"))
    assert made.request.characters == len(TEXT)


def test_the_text_is_kept_where_it_was_asked_for() -> None:
    assert logged(Request(text=TEXT), LIVE, with_text=True)[0].text == TEXT


def test_idle_models_take_no_room() -> None:
    made, _ = logged(Request(text=TEXT), {"big": ModelState(), "small": ModelState()})
    assert made.live == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "v: absent"),
        (b'{"v": 99}', "v: 99"),
        (b'{"v": 1, "at": "x"}', "at"),
        (b'{"v": 1}', "missing required field"),
        (b"\xff", "no JSON"),
    ],
)
def test_a_bad_line_is_said(line: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        parse(line)
