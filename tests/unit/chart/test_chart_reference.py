"""`values.yaml` and the reference of docs/values.md say all that there is to say, and are what is written anew."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serve.chart import reference
from serve.chart.defaults import by_name, fields, values_yaml
from serve.chart.parts import Part
from serve.chart.render import CHART, PAGE, rendered
from serve.chart.values import Values
from serve.cli import main

pytestmark = pytest.mark.unit


def every(part: type[Part] = Values, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The path and meaning of every value, of parts that may be null or have names too."""
    for field in fields(part):
        yield f"{prefix}{field.name}", field.meaning
        if field.part is not None:
            yield from every(field.part, f"{prefix}{field.name}.{'NAME.' if by_name(field) else ''}")


def test_every_value_says_what_it_means_in_a_sentence() -> None:
    found = dict(every())
    assert len(found) > 150
    assert {path for path, meaning in found.items() if not meaning} == set()
    assert {path for path, meaning in found.items() if not re.search(r"[.`)%]$", meaning)} == set()


def test_a_part_in_several_places_says_what_it_is_in_each() -> None:
    meanings = [meaning for path, meaning in every() if re.fullmatch(r"images\.\w+", path)]
    assert len(set(meanings)) == len(meanings) == 3


def test_the_reference_names_every_value_once() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", reference.reference(), re.MULTILINE)
    headings = re.findall(r"^### (\w+)$", reference.reference(), re.MULTILINE)
    assert sorted([*named, *headings]) == sorted(path for path, _ in every())


def test_a_row_says_type_default_and_meaning() -> None:
    page = reference.reference()
    for row in (
        "| `gateway.replicas` | whole number ≥ 0, ≤ 1,000 | `2` | Pods, where `autoscaling.enabled` is false. |",
        '| `gateway.service.type` | `ClusterIP`, `NodePort`, `LoadBalancer` | `"ClusterIP"` | How far it reaches. |',
        '| `engines.workers.sharedMemory` | quantity | `"16Gi"` | Of /dev/shm, ',
        "| `engines.groups.NAME.sharedMemory` | quantity or null | null | Of /dev/shm. |",
    ):
        assert row in page


def test_every_table_row_has_four_cells() -> None:
    for line in reference.reference().splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line


def test_values_yaml_is_the_defaults_and_within_its_width() -> None:
    lines = list(values_yaml())
    assert yaml.safe_load("\n".join(lines)) == Values().model_dump(by_alias=True, mode="json")
    assert max(map(len, lines)) <= 120


def test_values_yaml_says_what_each_value_means_above_it() -> None:
    lines = list(values_yaml())
    path: list[str] = []
    told: set[str] = set()
    for above, line in zip(["", *lines], lines, strict=False):
        found = re.match(r"( *)(\w+):", line)
        if found and not line.lstrip().startswith("#"):
            path = [*path[: len(found[1]) // 2], found[2]]
            if above.lstrip().startswith("#"):
                told.add(".".join(path))
    assert {path for path, _ in every() if "NAME" not in path and ".tls." not in path} <= told


def test_the_committed_files_are_current() -> None:
    stale = [path for path, text in rendered().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: parlance chart render"


def test_check_names_what_is_out_of_date_and_render_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart, page = tmp_path / "chart", tmp_path / "values.md"
    shutil.copytree(CHART, chart)
    shutil.copy(PAGE, page)
    there = ["--chart", str(chart), "--page", str(page)]
    page.write_text(page.read_text(encoding="utf-8").replace("`gateway.replicas`", "`gateway.pods`"), encoding="utf-8")
    (chart / "values.yaml").write_text("gateway: {}\n", encoding="utf-8")
    (chart / "files" / "facts.json").unlink()
    assert main(["chart", "check", *there]) == 1
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == sorted(
        f"{path} is out of date: run `parlance chart render`"
        for path in (page, chart / "values.yaml", chart / "files" / "facts.json")
    )
    assert main(["chart", "render", *there]) == 0
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    for file in ("values.yaml", "files/facts.json"):
        assert (chart / file).read_text(encoding="utf-8") == (CHART / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"), [("# Values\n", "has no <!-- reference -->"), (None, "there is no such file")]
)
def test_a_page_that_cannot_be_written_is_told(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "values.md"
    if text is not None:
        page.write_text(text, encoding="utf-8")
    assert main(["chart", "check", "--page", str(page)]) != 0
    err = capsys.readouterr().err
    assert f"--page {page}" in err
    assert said in err
