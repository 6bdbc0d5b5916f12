"""files/checks.json says of shapes what the description's own arithmetic says."""

from __future__ import annotations

import jsonschema
import pytest

from serve.chart.checks import checks
from serve.fleet import catalogue
from serve.fleet import schema as fleet_schema
from serve.fleet.base import PATTERNS
from serve.fleet.card import ModelCard
from serve.fleet.engine import Engine
from serve.fleet.gpus import gpus
from serve.fleet.shapes import fitting_shapes, shape_problems

pytestmark = pytest.mark.unit

CHECKS = checks()
CARDS = {name: ModelCard.model_validate(catalogue.raw(name)) for name in catalogue.names()}


def test_every_catalogue_model_is_there() -> None:
    assert CHECKS["models"].keys() == set(catalogue.names())


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.architecture])
def test_rooms_are_those_of_the_shapes_that_fit(name: str) -> None:
    card = CARDS[name]
    rooms = CHECKS["models"][name]["rooms"]
    assert rooms.keys() == set(gpus())
    for shape in fitting_shapes(card):
        assert rooms[shape.gpu][shape.weights][str(shape.tensor_parallel)] == shape.kv_room_tokens
    full = {
        (gpu, weights, int(degree))
        for gpu, by_weights in rooms.items()
        for weights, by_degree in by_weights.items()
        for degree, room in by_degree.items()
        if room >= card.context_tokens
    }
    assert full == {(shape.gpu, shape.weights, shape.tensor_parallel) for shape in fitting_shapes(card)}


def test_a_degree_without_room_is_one_that_the_loader_refuses() -> None:
    card = CARDS["llama-3.3-70b-instruct"]
    rooms = CHECKS["models"]["llama-3.3-70b-instruct"]["rooms"]["H100-SXM-80GB"]["bfloat16"]
    for degree in (1, 2, 4, 8):
        problems = shape_problems(card, Engine(gpu="H100-SXM-80GB", tensor_parallel=degree), "models[0]")
        assert bool(problems) == (rooms.get(str(degree), 0) < card.context_tokens)


def test_what_is_left_of_the_schema_says_the_same() -> None:
    """Only words were taken away."""
    whole = jsonschema.Draft202012Validator(fleet_schema.json_schema())
    bare = jsonschema.Draft202012Validator(CHECKS["schema"])
    entry = {"use": "gemma-2-9b-it", "engine": {"gpu": "L40S-48GB"}}
    for fleet in (
        {"models": [entry]},
        {"models": []},
        {"models": [{**entry, "title": "x"}]},
        {"models": [entry], "gateway": {"port": 0}},
        {"models": [{"id": "own", "card": {"title": 1}}]},
        {"models": [{"id": "own", "card": {"quality": {"nb": {}}}}]},
    ):
        assert whole.is_valid(fleet) == bare.is_valid(fleet), fleet


def test_every_pattern_has_words() -> None:
    def patterns(part: object) -> set[str]:
        if isinstance(part, dict):
            own = {value for key, value in part.items() if key == "pattern" and isinstance(value, str)}
            own |= set(part.get("patternProperties", {})) if isinstance(part.get("patternProperties"), dict) else set()
            return own.union(*(patterns(below) for below in part.values()))
        return set().union(*(patterns(one) for one in part)) if isinstance(part, list) else set()

    assert patterns(CHECKS["schema"]) <= PATTERNS.keys()
