"""The fleet that values install: whose word goes over whose, and what is said of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.chart.fleets import installed, layered
from serve.errors import DescriptionError, LocalError
from serve.fleet.loader import LAPTOP

pytestmark = pytest.mark.unit

ONE = """
models:
- use: gemma-2-9b-it
  engine: {gpu: H100-SXM-80GB, replicas: {max: 3}}
- id: mine
  use: eurollm-9b-instruct
  engine: {gpu: H100-SXM-80GB}
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.strip().splitlines())


def test_a_later_file_goes_over_an_earlier_one_and_null_takes_away() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": {"d": 1}, "e": 1}
    assert layered([base, {"a": {"y": 3}, "b": [4], "c": None}, {"e": {"f": 1}}]) == {
        "a": {"x": 1, "y": 3},
        "b": [4],
        "e": {"f": 1},
    }


@pytest.mark.parametrize("form", ["fleet: |\n", "fleet:\n"], ids=["text", "mapping"])
def test_a_fleet_in_the_values_is_read_in_both_forms(form: str, tmp_path: Path) -> None:
    fleet = installed([write(tmp_path, "values.yaml", form + indented(ONE))])
    assert [model.id for model in fleet.models] == ["gemma-2-9b-it", "mine"]


def test_models_of_the_values_change_by_name_and_then_by_id(tmp_path: Path) -> None:
    values = (
        "models:\n"
        "  eurollm-9b-instruct: {engine: {max_model_len: 1024, replicas: {max: 5}}}\n"
        "  mine: {engine: {max_model_len: 2048}}\n"
        "  gemma-2-9b-it: {enabled: false}\n"
    )
    fleet = installed([write(tmp_path, "values.yaml", values)], write(tmp_path, "fleet.yaml", ONE))
    [mine] = fleet.models
    assert mine.engine is not None
    assert (mine.context_tokens, mine.engine.replicas.max) == (2048, 5)


def test_without_a_fleet_it_is_the_chart_s_own_with_one_line_norwegian_too(tmp_path: Path) -> None:
    default = installed([write(tmp_path, "empty.yaml", "")])
    assert "llama-3.3-70b-instruct" in [model.id for model in default.models]
    assert "normistral-11b-thinking" not in [model.id for model in default.models]
    more = installed([write(tmp_path, "more.yaml", "models: {normistral-11b-thinking: {enabled: true}}\n")])
    assert len(more.models) == len(default.models) + 1


def test_clusters_with_a_rayservice_are_complete_as_the_chart_makes_them(tmp_path: Path) -> None:
    file = write(tmp_path, "fleet.yaml", f"{ONE}\nclusters:\n  main:\n    rayservice: {{name: own}}\n")
    assert installed([write(tmp_path, "values.yaml", "global: {x: 1}\n")], file).autoscaling.kubernetes is not None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("gatway: {}\n", "gatway"),
        ("models: {gemma: {enabled: false}}\n", "models.gemma: one of the fleet's models: eurollm-9b-instruct,"),
        ("fleet: {models: [{use: gemma-2-9b-it, engine: {gpu: H100}}]}\n", "models[0].engine.gpu: "),
        ('fleet: "models: ["\n', "is no YAML"),
        ("fleet: word\n", "a fleet is a mapping"),
        ("- 1\n", "values are a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(values: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DescriptionError) as caught:
        installed([write(tmp_path, "values.yaml", values)])
    assert said in caught.value.message
    assert "values.yaml" in caught.value.message


def test_a_chart_that_is_not_there_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="give --fleet"):
        installed([write(tmp_path, "values.yaml", "")], chart=tmp_path)
    fleet = installed([write(tmp_path, "values.yaml", "")], LAPTOP.with_name("8xh100.yaml"), chart=tmp_path)
    assert fleet.name == "8xh100"
