"""Every alert has a page that can be followed: its queries, commands, settings and links are real."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from observability import autoscaler_metrics, foreign, metrics, prometheus_metrics
from observability.metric import Kind
from observability.promql import TARGET
from observability.rules import DEFAULT_FLEET, RUNBOOKS
from observability.rules.render import alerts, recordings
from serve.cli import COMMANDS, main
from serve.fleet import load
from tests.support.promql import selectors

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / RUNBOOKS).glob("*.md"))
FLEET = load(DEFAULT_FLEET)
ALERTS = [alert for group in alerts(FLEET).values() for alert in group]
SECTIONS = ["What it means", "First three checks", "How to mend", "How to silence"]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.M | re.S)
TOOLS = {"amtool", "curl", "df", "kubectl", "promtool", "ray"}

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def _blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [block for _, kind, block in BLOCK.findall(text) if kind == language]


def _commands(path: Path) -> list[list[str]]:
    lines = [line.strip() for block in _blocks(path, "sh") for line in block.splitlines()]
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    lines += re.findall(r"`(\.venv/bin/parlance [^`]*|promtool [^`]*)`", " ".join(text.split()))
    return [shlex.split(line) for line in lines]


def test_there_is_a_page_for_each_alert_and_no_other() -> None:
    assert {path.stem for path in PAGES} == {alert.name for alert in ALERTS}


@page
def test_a_page_has_its_sections_and_three_checks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    checks = text.split(f"## {SECTIONS[1]}")[1].split("## ")[0]
    assert re.findall(r"^(\d)\. ", checks, re.M) == ["1", "2", "3"]
    assert len(BLOCK.findall(checks)) == 3, "each check is a query or a command"
    assert all(len(line) <= 120 for line in BLOCK.sub("", text).splitlines())


@page
def test_queries_parse_and_name_what_is_catalogued(path: Path) -> None:
    known = {r.name: set(r.expr.labels or ()) for group in recordings(FLEET).values() for r in group}
    every = (*metrics.GATEWAY, *autoscaler_metrics.AUTOSCALER, *foreign.ALL, *prometheus_metrics.PROMETHEUS)
    for metric in every:
        for suffix in ("_bucket", "_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",):
            more = {"le"} if suffix == "_bucket" else set()
            known[metric.name + suffix] = {*metric.labels, *TARGET, *more}
    for query in _blocks(path, "promql"):
        found = selectors(query)
        assert found
        for name, labels in found:
            assert name in known, f"{path.name}: {name}"
            assert labels <= known[name], f"{path.name}: {name} by {labels}"


@page
def test_commands_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in _commands(path):
        if words[0] != ".venv/bin/parlance":
            assert words[0] in TOOLS, words
            continue
        assert words[1] in COMMANDS, words
        help_of = [word for word in words[1:3] if not word.startswith("-")]
        try:
            status = main([*help_of, "--help"])
        except SystemExit as end:  # argparse ends so
            status = int(end.code or 0)
        assert status == 0, words
        usage = capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert option in usage, f"{path.name}: {words[1]} has no {option}"


@page
def test_the_silence_is_for_this_alert_and_for_labels_that_it_has(path: Path) -> None:
    ((_, _, block),) = (found for found in BLOCK.findall(path.read_text(encoding="utf-8")) if "amtool" in found[2])
    words = shlex.split(block)
    assert words[:4] == ["amtool", "silence", "add", f"alertname={path.stem}"]
    assert [word.split("=")[0] for word in words[-2:]] == ["--duration", "--comment"]
    labels = {word.split("=")[0] for word in words[4:-2]}
    own = [{*(alert.expr.labels or ()), *alert.labels, "severity"} for alert in ALERTS if alert.name == path.stem]
    assert any(labels <= known for known in own)


@page
def test_links_lead_to_pages(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).is_file(), target


@page
def test_settings_are_those_of_the_description(path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "fleet.schema.json").read_text(encoding="utf-8"))
    fields = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", ())}
    text = path.read_text(encoding="utf-8")
    dotted = re.findall(r"`((?:gateway|engine|autoscaling|card|upstream|replicas|work|slo)(?:\.[a-z_]+)+)`", text)
    for setting in dotted:
        assert set(setting.split(".")) <= {*fields, "card", "engine"}, f"{path.name}: {setting}"
    for file in re.findall(r"`(serve/[^`]+|docs/[^`]+)`", text):
        assert (ROOT / file).is_file(), file
