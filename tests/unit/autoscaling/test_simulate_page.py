"""The programs on the simulator's page run as they stand there."""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from autoscaling.simulate import traces

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).parents[3] / "docs" / "simulate.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(source: str) -> str:
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(source, "docs/simulate.md", "exec"), {"__name__": "page"})
    return said.getvalue()


def test_a_decision_log_becomes_a_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entries = [
        {"at": 1_700_000_000.0 + at, "outcome": {"model": model, "prompt_tokens": 30, "completion_tokens": tokens}}
        for at, model, tokens in ((0, "gemma-2-9b-it", 9), (1, "other", 9), (2.5, "gemma-2-9b-it", 7))
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(json.dumps(entry) for entry in entries)))
    file = tmp_path / "trace.csv"
    file.write_text(run(PROGRAMS[0]), encoding="utf-8")
    trace = traces.read(file)
    assert [(one.at_s, one.prompt, one.output) for one in trace.arrivals] == [(0.0, 30, 9), (2.5, 30, 7)]


def test_policies_run_in_a_program_of_ones_own() -> None:
    wanted, words = run(PROGRAMS[1]).split(" ", 1)
    assert 2 <= int(wanted) <= 6
    assert "a late request costs" in words
