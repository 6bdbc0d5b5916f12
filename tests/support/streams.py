"""Clients that read streams one after another, and hold each against what a whole one has."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 180


@dataclass(frozen=True)
class Stream:
    """One stream. `problem` is empty where it was whole: 200, every token that was asked for, and [DONE]."""

    began: float
    ended: float
    problem: str


@dataclass
class Streams:
    """`count` clients, each of which begins a stream of `tokens` tokens when its last one has ended."""

    url: str
    model: str
    tokens: int
    count: int
    done: list[Stream] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(self.count)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                problem = self._one(f"Ein fjord nummer {number} er")
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = f"{type(error).__name__}: {error}"
            self.done.append(Stream(began, time.monotonic(), problem))
            if problem:
                time.sleep(0.2)

    def _one(self, prompt: str) -> str:
        """What was wrong with one stream."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        body = {
            "model": self.model,
            "prompt": prompt,
            "max_tokens": self.tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            headers = {"content-type": "application/json", **self.headers}
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            return f"status {response.status}: {text[:200].decode(errors='replace')}"
        events = [line[6:] for line in text.split(b"\n") if line.startswith(b"data: ")]
        if not events or events[-1] != b"[DONE]":
            return f"no [DONE] after {len(events)} events: {events[-1:]!r}"
        told = [json.loads(event) for event in events[:-1]]
        usage = next((event["usage"] for event in reversed(told) if event.get("usage")), {})
        if usage.get("completion_tokens") != self.tokens:
            return f"{usage.get('completion_tokens')} tokens instead of {self.tokens}"
        return ""

    @property
    def problems(self) -> list[str]:
        """Of every stream so far that was not whole."""
        return [stream.problem for stream in self.done if stream.problem]

    def end(self) -> None:
        """No stream is begun any more; returns when those that are open have ended."""
        self._ending.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive(), "a stream never ended"
