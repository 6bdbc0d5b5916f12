"""Requests one after another while something breaks, and the engine that a test breaks."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import psutil

from serve.local import processes
from tests.support.stack import Stack

MODEL_HEADER = "x-parlance-model"
Answer = tuple[float, int | str, float]  # when it was sent, what came back, how many seconds it took


@dataclass
class Trickle:
    """One client that asks until it is stopped. A 503 that does not say when to come again counts as `503 untimed`."""

    url: str
    body: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)
    served_by: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @classmethod
    def completions(cls, base: str, model: str, prompt: str = "Hei") -> Trickle:
        body = {"model": model, "prompt": prompt, "max_tokens": 4, "temperature": 0, "ignore_eos": True}
        return cls(f"{base}/v1/completions", body)

    @classmethod
    def chat(cls, base: str, model: str, text: str) -> Trickle:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 4}
        return cls(f"{base}/v1/chat/completions", body)

    def _run(self) -> None:
        data = json.dumps(self.body).encode()
        while not self._stop.is_set():
            began = time.monotonic()
            outcome: int | str
            try:
                request = urllib.request.Request(self.url, data, {"content-type": "application/json"})
                with urllib.request.urlopen(request, timeout=60) as response:
                    response.read()
                    outcome = response.status
                    self.served_by.append(response.headers.get(MODEL_HEADER, ""))
            except urllib.error.HTTPError as error:
                untimed = error.code == 503 and not error.headers.get("retry-after")
                outcome = "503 untimed" if untimed else error.code
            except OSError as error:
                outcome = type(error).__name__
            self.answers.append((began, outcome, time.monotonic() - began))
            self._stop.wait(0.1)

    def outcomes(self) -> set[int | str]:
        return {outcome for _, outcome, _ in self.answers}

    def models(self) -> set[str]:
        return set(self.served_by)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(65)


def engine_core(stack: Stack, model: str) -> psutil.Process:
    """The process of a model's engine, a child of its replica."""
    for process in processes.find(stack.state.marker, stack.state.sessions):
        if process.name().startswith("VLLM::EngineCore"):
            parent = process.parent()
            if parent and model in " ".join(parent.cmdline()):
                return process
    raise AssertionError(f"no engine process of {model}")
