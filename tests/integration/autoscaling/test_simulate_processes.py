"""Policies that are simulated in processes of their own come to the same figures, in the order asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

HEAD = "start_s,requests_per_s,arrival_cv,prompt_tokens_mean,output_tokens_mean\n"
POLICIES = ["static", "token-work", "clairvoyant"]


def simulated(trace: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "serve.cli", "simulate", "--trace", str(trace), "--json", "--minutes", *words]
    done = subprocess.run([*command, "--policy", *POLICIES], capture_output=True, text=True, check=True, timeout=120)
    told: dict[str, Any] = json.loads(done.stdout)
    assert "3 of 3: " in done.stderr
    del told["took_s"]
    for one in told["policies"]:
        del one["took_s"]
    return told


@pytest.mark.parametrize("world", ["fluid", "exact"])
def test_processes_come_to_the_same_figures(world: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(HEAD + "0,10,2,300,200\n120,20,1,300,200\n240,5,1,300,200\n")
    alone = simulated(trace, "--jobs", "1", "--world", world, "--failures", "6")
    together = simulated(trace, "--jobs", "3", "--world", world, "--failures", "6")
    assert alone == together
    assert [one["policy"] for one in together["policies"]] == POLICIES
