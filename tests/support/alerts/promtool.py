"""Plays cases with promtool."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from observability.rules.render import alerts, render
from serve.fleet import Fleet
from tests.support.alerts.case import Case, promtool_test

MISSING = (
    "promtool is not installed, and without it nothing shows that an alert fires: it comes with Prometheus "
    "(Debian and Ubuntu: `apt-get install prometheus`; elsewhere: the archive from prometheus.io/download)"
)


def promtool() -> str:
    """Where promtool is. Raises RuntimeError that says how to get it."""
    path = shutil.which("promtool")
    if path is None:
        raise RuntimeError(MISSING)
    return path


def play(cases: Sequence[Case], fleet: Fleet, directory: Path) -> subprocess.CompletedProcess[str]:
    """promtool's verdict on the cases of one alert at one interval, at which rules are evaluated too: as rendered for
    this fleet, that alert's rules and what they read. Files are left in the directory."""
    (_,) = {case.alert for case in cases}
    return play_all(cases, fleet, directory)


def play_all(cases: Sequence[Case], fleet: Fleet, directory: Path) -> subprocess.CompletedProcess[str]:
    """The same for cases of several alerts, with all their rules: each step takes the longer."""
    (interval,) = {case.interval for case in cases}
    names = {case.alert for case in cases}
    files = {name: yaml.safe_load(text)["groups"] for name, text in render(fleet).items()}
    rules = [rule for group in alerts(fleet).values() for rule in group]
    written = [rule for group in files["alerts.yaml"] for rule in group["rules"]]
    annotations = {id(rule): text["annotations"] for rule, text in zip(rules, written, strict=True)}
    own = [rule for rule in written if rule["alert"] in names]
    read = _read_by(own, [rule for group in files["recordings.yaml"] for rule in group["rules"]])
    groups = [{"name": "recordings", "rules": read}, {"name": "alerts", "rules": own}]
    _write(directory / "rules.yaml", {"groups": groups})
    tests = [promtool_test(case, rules, annotations) for case in cases]
    content = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": interval,
        "group_eval_order": ["recordings", "alerts"],  # without it promtool takes any order, another each time
        "tests": tests,
    }
    _write(directory / "cases.yaml", content)
    command = [promtool(), "test", "rules", "cases.yaml"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)


def _read_by(rules: Sequence[dict[str, Any]], recordings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recording rules that these rules read, and those that they read in turn, in their order."""
    texts = [rule["expr"] for rule in rules]
    chosen: set[str] = set()
    for recording in reversed(recordings):  # each stands after those that it reads
        if any(recording["record"] in text for text in texts):
            chosen.add(recording["record"])
            texts.append(recording["expr"])
    return [recording for recording in recordings if recording["record"] in chosen]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
