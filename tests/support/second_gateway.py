"""A gateway beside the stack's, whose engines fail as they are told: what a healthy stack shows only on its worst day.

It has keys, tenants with budgets, an upstream behind https, and short time-outs. Its clients count as the stack's do
(tests.support.traffic).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from serve.gateway.auth import new_key
from tests.support import certificates, traffic
from tests.support.engine import Engine, Reply, Request, answer
from tests.support.gateway import GatewayProcess
from tests.support.traffic import Ask, Got, Tally

ENGLISH = (
    "The fjord was carved by ice over a very long time, and when the glacier finally melted away, the sea came in and "
    "filled the valley that it had left behind. That is why the water is deep close to the steep mountains and shallow "
    "where the fjord meets the open sea, because the stones that the ice had carried were left there in a long ridge."
)
GERMAN = "Kannst du mir bitte in einigen Sätzen erklären, wie die Fjorde in Norwegen einmal entstanden sind?"
OPEN_AT_ONCE = 12


class SecondGateway:
    """Two scripted engines and an https upstream behind a gateway process of its own."""

    def __init__(self, directory: Path) -> None:
        self.certificate = certificates.make(directory, days=20)
        self.big, self.small = Engine(), Engine()
        self.far = Engine(self.certificate.server())
        self.keys = self._write_keys(directory / "keys.yaml")
        self.process = GatewayProcess(
            directory, self._fleet(directory), environ={"SSL_CERT_FILE": str(self.certificate.file)}
        )
        self.tally = Tally()

    @property
    def target(self) -> str:
        """host:port that is scraped."""
        return f"127.0.0.1:{self.process.admin_port}"

    def stop(self) -> None:
        """Ends it and its engines."""
        self.process.stop()
        for engine in (self.big, self.small, self.far):
            engine.stop()

    def _write_keys(self, path: Path) -> dict[str, str]:
        """The keys by name."""
        today = datetime.datetime.now(datetime.UTC).date()
        described: dict[str, dict[str, Any]] = {
            "good": {"tenant": "acme", "expires": today + datetime.timedelta(days=40)},
            "partner": {"tenant": "partner"},
            "poor": {"tenant": "poor"},
            "expired": {"tenant": "acme", "expires": today - datetime.timedelta(days=1)},
            "revoked": {"tenant": "acme", "revoked": True},
            "narrow": {"tenant": "acme", "models": ["small"]},
        }
        keys, entries = {}, []
        for name, entry in described.items():
            keys[name], digest = new_key()
            entries.append({"name": name, "sha256": digest, **entry})
        tenants = {
            "acme": {"class": "gold", "budget_usd": 100},
            "partner": {"class": "silver", "budget_usd": 0.05, "period": "day"},
            "poor": {"budget_usd": 0.000000001},
        }
        path.write_text(yaml.safe_dump({"version": 1, "tenants": tenants, "keys": entries}))
        return keys

    def _fleet(self, directory: Path) -> dict[str, Any]:
        tiny = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}
        return {
            "name": "second",
            "clusters": {"a": {"serve_url": self.big.url}, "b": {"serve_url": self.small.url}},
            "models": [
                {
                    "use": "llama-3.3-70b-instruct",
                    "id": "big",
                    "cluster": "a",
                    "engine": {**tiny, "max_model_len": 8192},
                },
                {"use": "gemma-2-9b-it", "id": "small", "cluster": "b", "engine": tiny},
                {"use": "llama-3.3-70b-instruct", "id": "far", "upstream": {"base_url": self.far.url}},
            ],
            "routing": {"reference": "big", "quality_floor": -100},
            "gateway": {
                "keys_file": "keys.yaml",
                "state_dir": str(directory / "state"),
                "timeouts": {"connect_s": 1, "first_byte_s": 2, "idle_s": 2, "whole_s": 4, "write_s": 2},
                "limits": {"in_flight": OPEN_AT_ONCE},
                "health": {"interval_s": 0.2, "timeout_s": 1, "failures": 2},
                "drain_s": 5,
            },
        }

    # What is asked of it.

    def send(self, *asks: Ask, key: str | None = "good", clients: int = 4) -> list[Got]:
        """Sends these with a key of the file (None: without one) and counts what came."""
        head = {} if key is None else {"authorization": f"Bearer {self.keys.get(key, key)}"}
        keyed = [Ask(a.path, a.body, {**a.headers, **head}, a.leave_after, a.method) for a in asks]
        got = traffic.send(self.process.url, keyed, clients)
        self.tally += got
        return got.got

    @contextlib.contextmanager
    def scripted(self, engine: Engine, handle: Any) -> Iterator[None]:
        """The engine does this, and is well again afterwards."""
        engine.handle = handle
        try:
            yield
        finally:
            engine.handle = answer

    def worst_day(self) -> None:
        """Everything, one after another; each asserts that it happened as it was meant to."""
        self.ordinary()
        self.refusals()
        self.failures()
        self.wrong_languages()
        self.slow_reader()
        self.too_many()
        self.unwell()

    def ordinary(self) -> None:
        """Answers for two tenants, from every model, in several languages and within conversations."""
        for key in ("good", "partner"):
            asks = traffic.every_language()[::4] + [traffic.chat("Hei", name) for name in ("big", "small", "far")]
            assert {one.status for one in self.send(*asks, key=key)} == {200}
        for dialogue in traffic.conversations(2):
            for turn in dialogue:
                self.send(turn)

    def refusals(self) -> None:
        """Each reason for which a key or a budget refuses."""
        for key in (None, "pk-nobody", "expired", "revoked"):
            assert [one.status for one in self.send(traffic.chat("Hei"), key=key)] == [401]
        assert [one.status for one in self.send(traffic.chat("Hei", "big"), key="narrow")] == [403]
        assert 200 not in {one.status for one in self.send(*[traffic.chat("Hei")] * 3, key="poor")}

    def failures(self) -> None:
        """An engine that fails before the first byte, in the middle of a stream, by saying nothing, and by nonsense."""
        hello, streamed = traffic.chat("Hei", "big"), traffic.chat("Hei", "big", stream=True)
        with self.scripted(self.big, _once_refused()):
            assert [one.status for one in self.send(hello)] == [200]
        with self.scripted(self.big, _cut):
            assert [one.status for one in self.send(streamed)] == [200]
        with self.scripted(self.big, _stalls):
            assert [one.status for one in self.send(streamed)] == [200]
        with self.scripted(self.big, _says_nothing):
            assert [one.status for one in self.send(hello)] == [504]
        with self.scripted(self.big, _nonsense):
            assert [one.status for one in self.send(hello)] == [502]
        with self.scripted(self.big, _endless):
            assert [one.status for one in self.send(*traffic.leavers("big", 1))] == [traffic.LEFT]

    def wrong_languages(self) -> None:
        """Replies in English to a request in German."""
        for engine, name in ((self.big, "big"), (self.small, "small")):
            with self.scripted(engine, _in_english):
                self.send(*[traffic.chat(GERMAN, name, stream) for stream in (False, True)])

    def slow_reader(self) -> None:
        """A client that asks for a long stream and reads nothing of it."""
        address = urlsplit(self.process.url)
        body = json.dumps(traffic.chat("Hei", "big", stream=True).body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.keys['good']}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        left = self.big.left
        with self.scripted(self.big, _endless), socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((address.hostname, address.port))
            client.sendall(head.encode() + body)
            self._wait_for(lambda: self.big.left > left, "the slow reader is still served")
        self.tally.got.append(Got(traffic.LEFT, "big"))

    def too_many(self) -> None:
        """More requests at once than the worker holds."""
        with self.scripted(self.small, _slow):
            got = self.send(*[traffic.chat("Hei", "small")] * (2 * OPEN_AT_ONCE), clients=2 * OPEN_AT_ONCE)
        assert {one.status for one in got} == {200, 429}

    def unwell(self) -> None:
        """A model whose probes fail: named, it is refused; `auto` goes elsewhere."""
        self.big.health = 503
        self._wait_for(lambda: self.process.metric("parlance_model_healthy", model="big") == 0, "big is still well")
        assert [one.status for one in self.send(traffic.chat("Hei", "big"))] == [503]
        assert [one.status for one in self.send(traffic.chat("Hei", "auto"))] == [200]
        self.big.health = 200
        self._wait_for(lambda: self.process.metric("parlance_model_healthy", model="big") == 1, "big is not well")

    def _wait_for(self, condition: Any, otherwise: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.1)


def _once_refused() -> Any:
    """The first request gets 503, all others an answer."""
    refused = False

    async def handle(request: Request, reply: Reply) -> None:
        nonlocal refused
        if refused:
            await answer(request, reply)
        else:
            refused = True
            await reply.whole({"error": "the replica is leaving"}, 503)

    return handle


async def _cut(request: Request, reply: Reply) -> None:
    await reply.start_stream()
    await reply.token("Ein")
    await asyncio.sleep(0.05)
    reply.cut()


async def _stalls(request: Request, reply: Reply) -> None:
    await reply.start_stream()
    await reply.token("Ein")
    await reply.closed.wait()


async def _says_nothing(request: Request, reply: Reply) -> None:
    await reply.closed.wait()


async def _nonsense(request: Request, reply: Reply) -> None:
    await reply.raw(b"this is no HTTP\r\n\r\n")


async def _endless(request: Request, reply: Reply) -> None:
    await reply.start_stream()
    while not reply.closed.is_set():
        await reply.token("fjord " * 200)


async def _slow(request: Request, reply: Reply) -> None:
    await asyncio.sleep(1)
    await answer(request, reply)


async def _in_english(request: Request, reply: Reply) -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 90, "total_tokens": 130}
    if request.json.get("stream"):
        await reply.start_stream()
        for word in ENGLISH.split():
            await reply.token(f"{word} ")
        await reply.end(usage)
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": ENGLISH}, "finish_reason": "stop"}
        await reply.whole({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})
