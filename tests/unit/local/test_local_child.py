"""A program beside Ray: ready when its URL says so, and its last words when it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from serve.errors import LocalError
from serve.local import child
from serve.local.processes import MARKER

pytestmark = pytest.mark.unit

NOBODY = "http://127.0.0.1:9/ready"  # the discard port: nothing answers


def test_one_that_lives_and_does_not_answer_is_starting(tmp_path: Path) -> None:
    one = child.start("sleeper", ["sleep", "60"], "feedface", tmp_path / "logs" / "s.log", NOBODY)
    try:
        assert one.step().what == "starting"
        assert not one.step().ready
        assert f"{MARKER}=feedface" in Path(f"/proc/{one.process.pid}/environ").read_text().split("\0")
    finally:
        one.process.kill()
        one.process.wait()


def test_one_that_ended_says_why(tmp_path: Path) -> None:
    code = "import sys; print('first'); sys.exit('port 9090 is taken')"
    one = child.start("Prometheus", [sys.executable, "-c", code], "feedface", tmp_path / "p.log", NOBODY)
    one.process.wait()
    with pytest.raises(LocalError, match=r"Prometheus ended: port 9090 is taken \(whole log: .*p\.log\)"):
        one.step()
