"""The record as JSON and as a table."""

from __future__ import annotations

import json

import pytest
from routing_fleets import nordic

from serve.routing import Decision, Hints, Request, decide
from serve.routing.reasons import usd
from serve.routing.render import decision_dict, decision_text

pytestmark = pytest.mark.unit


def made(**request: object) -> Decision:
    text = "Kannst du mir erklären, wie ich Elterngeld beantrage?"
    return decide(Request(text=text, characters=len(text), **request), nordic(), {}, 1.5)  # type: ignore[arg-type]


def test_the_dict_is_json_with_every_candidate() -> None:
    record = json.loads(json.dumps(decision_dict(made())))
    assert record["model"] == "small"
    assert record["decided_at"] == 1.5
    assert record["language"]["posterior"][0] == {"tag": "de", "probability": 1.0}
    by_model = {one["model"]: one for one in record["candidates"]}
    assert by_model["base"]["rejection"] == "no_chat_template"
    assert by_model["small"]["rejection"] is None
    assert by_model["small"]["quality"] == -8
    assert by_model["claims"]["quality"] is None
    assert all(one["cost_usd"] > 0 for one in record["candidates"])


def test_the_text_ranks_models_and_gives_reasons() -> None:
    lines = decision_text(made(hints=Hints(language="nonsense!"))).splitlines()
    assert lines[0].startswith("German (1.00): small is the cheapest of 2")
    table = [line for line in lines if line.startswith(("1  ", "2  ", "   base", "   claims"))]
    assert [line.split()[1] for line in table[:2]] == ["small", "big"]
    assert "no_chat_template: a base model" in decision_text(made())
    assert lines[-1].startswith("note: the language hint")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0.0, "0"),
        (12.5, "12.5000"),
        (0.0123, "0.0123"),
        (0.000012, "0.000012"),
        (0.00031, "0.00031"),
        (4.2e-9, "0.0000000042"),
    ],
)
def test_amounts_have_two_digits_and_no_exponent(amount: float, shown: str) -> None:
    assert usd(amount) == shown
