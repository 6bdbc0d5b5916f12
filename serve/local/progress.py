"""How far each engine is, read from Serve's status and the engine's own log, and shown as it changes."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from serve.local.serve_api import Application

# Words of vLLM's log, in the order in which they appear, and what they mean. The last one found tells.
STAGES = (
    ("Initializing a V1 LLM engine", "engine process started"),
    ("Starting to load model", "loading weights"),
    ("Loading weights took", "weights loaded"),
    ("KV cache size", "KV cache allocated"),
    ("Supported tasks", "HTTP server starting"),
)
TAIL_BYTES = 256 * 1024

CAUSE = re.compile(r"^\s*(?:[\w.]+(?:Error|Exception): |Value error, )(?!Traceback|\d+ validation error)(.+)")
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Step:
    """One part's state at a moment: a model's engine, HAProxy, the gateway."""

    part: str
    what: str
    ready: bool
    failed: str = ""


def step(model: str, app: Application | None, logs: Path | None) -> Step:
    """Where a model is. `logs` is Ray's log directory, or None while it does not exist."""
    if app is None:
        return Step(model, "waiting for Ray Serve", ready=False)
    if app.status == "DEPLOY_FAILED":
        return Step(model, "failed", ready=False, failed=reason(app.message))
    if app.running:
        return Step(model, "ready", ready=True)
    if not app.replicas:
        return Step(model, "being scheduled", ready=False)
    pid = next((replica.pid for replica in app.replicas if replica.pid), None)
    return Step(model, _stage(logs, pid) if logs and pid else "process starting", ready=False)


def reason(message: str) -> str:
    """The sentence of a traceback that tells why: its last `SomeError: ...` or pydantic's `Value error, ...`."""
    found = [match for line in message.splitlines() if (match := CAUSE.search(line))]
    text = found[-1].group(1) if found else (message.strip().splitlines() or ["no reason given"])[-1]
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 3]}..."


def proxy_step(ready: bool, logs: Path | None) -> Step:
    """Where HAProxy is. A configuration that it refuses is a failure: Ray starts it again without end."""
    if ready:
        return Step("HAProxy", "ready", ready=True)
    refusals = [
        line.split(" : ", 1)[-1]
        for path in sorted(logs.glob("serve/proxy_*.log") if logs else ())
        for line in _tail(path).splitlines()
        if line.startswith("[ALERT]")
    ]
    return Step("HAProxy", "starting", ready=False, failed=refusals[-1] if refusals else "")


def _stage(logs: Path, pid: int) -> str:
    text = "".join(_tail(path) for path in sorted(logs.glob(f"worker-*-{pid}.*")))
    return next((what for words, what in reversed(STAGES) if words in text), "importing vLLM")


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


class View:
    """Prints steps: a block that is redrawn on a terminal, a line for each change elsewhere."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self._drawn = 0
        self._last: dict[str, str] = {}

    def show(self, steps: Sequence[Step], elapsed_s: float, taken_s: Mapping[str, float]) -> None:
        """Draws the steps; `taken_s` is how long each ready model took."""
        if self.out.isatty():
            self._redraw(steps, elapsed_s, taken_s)
            return
        for one in steps:
            if self._last.get(one.part) != one.what:
                self._last[one.part] = one.what
                self.line(f"[{elapsed_s:5.0f} s] {one.part}: {one.what}")

    def line(self, text: str) -> None:
        """A line that stays."""
        print(text, file=self.out, flush=True)

    def _redraw(self, steps: Sequence[Step], elapsed_s: float, taken_s: Mapping[str, float]) -> None:
        ready = sum(one.ready for one in steps)
        lines = [f"  {ready} of {len(steps)} ready, {elapsed_s:.0f} s"]
        width = max(len(one.part) for one in steps)
        for one in steps:
            took = f" after {taken_s[one.part]:.0f} s" if one.part in taken_s else ""
            lines.append(f"    {one.part:<{width}}  {one.what}{took}")
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self.out.write(up + "".join(f"\x1b[2K{text}\n" for text in lines))
        self.out.flush()
        self._drawn = len(lines)
