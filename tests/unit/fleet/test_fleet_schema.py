"""The JSON schema accepts what the loader accepts; the committed copies are current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serve.fleet import loader, schema, yaml
from serve.fleet.description import FleetFile

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "serve" / "fleet" / "examples").glob("*.yaml"))


def errors(value: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema.json_schema())
    return [error.message for error in validator.iter_errors(value)]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.json_schema())


def test_the_committed_schema_is_current() -> None:
    committed = json.loads((ROOT / "docs" / "fleet.schema.json").read_text(encoding="utf-8"))
    assert committed == schema.json_schema(), "run: parlance fleet schema > docs/fleet.schema.json"


def test_the_committed_reference_is_current() -> None:
    page = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    assert schema.with_reference(page) == page, "run: parlance fleet reference --into docs/fleet.md"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no <!-- reference -->"):
        schema.with_reference("# A page")


def test_the_reference_names_every_field() -> None:
    text = schema.reference()
    fields = {name for part in schema.json_schema()["$defs"].values() for name in part.get("properties", {})}
    fields |= set(FleetFile.model_fields)
    assert not {name for name in fields if f"| `{name}` |" not in text}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_agree_with_the_schema(path: Path) -> None:
    assert errors(yaml.read(path)) == []


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"models": []},
        {"models": [{"use": "x"}], "typo": 1},
        {"models": [{"use": "x", "card": {"typo": 1}}]},
        {"models": [{"use": "x", "card": {"licence": {"typo": 1}}}]},
        {"models": [{"use": "x", "card": {"quality": {"norsk": {"delta": 1}}}}]},
        {"models": [{"use": "x", "card": {"quality": {"nb": {"low": 1}}}}]},
        {"models": [{"use": "x", "engine": {"tensor_parallel": 0}}]},
        {"models": [{"use": "x"}], "routing": {"quality_floor": "good"}},
        {"models": [{"use": "x"}], "gateway": {"port": 70_000}},
    ],
)
def test_what_the_loader_refuses_the_schema_refuses(value: Any) -> None:
    assert errors(value)
    with pytest.raises(loader.DescriptionError):
        loader.resolve(value, "x")


def test_any_part_of_a_card_may_stand_alone() -> None:
    assert (
        errors({"models": [{"use": "x", "card": {"licence": {"gated": False}, "architecture": {"layers": 3}}}]}) == []
    )
