"""What stands on both sides of a gateway in the benchmark: an engine that costs little, and a client that counts.

Both speak raw HTTP/1.1 over asyncio protocols on uvloop. They run in processes of their own, so that only the CPU of
what is between them is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator

import uvloop

CHUNKS = 64
INTERVAL_S = 0.01
TEXT = "explain how a gateway routes requests by language and cost to the cheapest model that is good enough"
USAGE = {"prompt_tokens": 200, "completion_tokens": CHUNKS, "total_tokens": 200 + CHUNKS}


def _sse(**fields: object) -> bytes:
    data = b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", **fields}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole() -> bytes:
    message = {"role": "assistant", "content": "x" * 900}
    body = json.dumps({"id": "c", "choices": [{"index": 0, "message": message}], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = _sse(choices=[{"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}])
END = _sse(choices=[], usage=USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class EngineConnection(asyncio.Protocol):
    """Answers each request: whole at once after one interval, or 64 chunks an interval apart."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Answers when a request is whole."""
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = head.lower().find(b"content-length: ")
        if not found or (length >= 0 and len(body) < int(head[length + 16 :].split(b"\r", 1)[0])):
            return
        self._data = b""
        loop = asyncio.get_running_loop()
        if b'"stream":true' in body:
            self._transport.write(HEAD)
            loop.call_later(INTERVAL_S, self._chunk, CHUNKS)
        else:
            loop.call_later(INTERVAL_S, self._transport.write, WHOLE)

    def _chunk(self, left: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(CHUNK)
        if left > 1:
            asyncio.get_running_loop().call_later(INTERVAL_S, self._chunk, left - 1)
        else:
            self._transport.write(END)


class ClientConnection(asyncio.Protocol):
    """Sends one request after the other and notes when each answer begins and ends."""

    def __init__(
        self, requests: Iterator[bytes], until: float, results: list[tuple[float, float]], errors: list[bytes]
    ) -> None:
        self._requests = requests
        self._until = until
        self._results = results
        self._errors = errors
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        self._tail, self._first, self._left, self._headers = b"", 0.0, -1, True
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Sees whether the answer is whole: by its length, or by the last chunk."""
        tail = self._tail + data
        if self._headers:
            head, found, body = tail.partition(b"\r\n\r\n")
            if not found:
                self._tail = tail
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._errors.append(tail[:300])
            at = head.lower().find(b"content-length: ")
            self._left = int(head[at + 16 :].split(b"\r", 1)[0]) if at >= 0 else -1
            self._headers = False
            data = tail = body
            if not body:
                self._tail = b""
                return
        self._first = self._first or time.perf_counter()
        if self._left >= 0:
            self._left -= len(data)
            ended = self._left <= 0
        else:
            ended = tail.endswith(b"0\r\n\r\n")
            self._tail = tail[-8:]
        if ended:
            self._results.append((self._first - self._began, time.perf_counter() - self._began))
            if time.perf_counter() < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, by us or by them."""
        if not self.done.done():
            self.done.set_result(None)


def prompts(stream: bool) -> list[bytes]:
    """Requests of 900 characters whose words stand in another order each time: no two begin alike."""
    words = TEXT.split()
    order = random.Random(1)  # noqa: S311 - repeatable on purpose
    out = []
    for _ in range(20_000):
        text = " ".join(order.choices(words, k=200))[:900]
        messages = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": text}]
        fields = {"model": "auto", "messages": messages, "max_tokens": 128, "temperature": 0.7, "stream": stream}
        body = json.dumps(fields, separators=(",", ":")).encode()
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk-local\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        out.append(head + body)
    return out


async def engine(port: int) -> None:
    """Serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(EngineConnection, "127.0.0.1", port)
    await server.serve_forever()


async def client(port: int, stream: bool, connections: int, seconds: float) -> None:
    """Loads a port for some seconds and prints what it saw as JSON."""
    requests = itertools.cycle(prompts(stream))
    loop = asyncio.get_running_loop()
    results: list[tuple[float, float]] = []
    errors: list[bytes] = []
    until = time.perf_counter() + seconds
    waiting = []
    for _ in range(connections):
        _, connection = await loop.create_connection(
            lambda: ClientConnection(requests, until, results, errors), "127.0.0.1", port
        )
        waiting.append(connection.done)
        await asyncio.sleep(seconds / connections / 8)  # streams must not beat in time
    await asyncio.wait(waiting, timeout=seconds + 5)
    error = errors[0].decode(errors="replace") if errors else ""
    print(json.dumps({"answers": results, "errors": len(errors), "error": error}))


if __name__ == "__main__":
    if sys.argv[1] == "engine":
        uvloop.run(engine(int(sys.argv[2])))
    else:
        uvloop.run(client(int(sys.argv[2]), sys.argv[3] == "stream", int(sys.argv[4]), float(sys.argv[5])))
