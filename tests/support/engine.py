"""An engine whose every byte a test decides: real sockets, so that cuts, stalls and half-written answers are real."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What the gateway sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What goes back, byte by byte."""

    writer: asyncio.StreamWriter
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    was_cut: bool = False

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def whole(self, body: Any, status: int = 200, kind: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        await self.raw(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
        )

    async def start_stream(self) -> None:
        await self.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, **fields: Any) -> None:
        await self.chunk(b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n")

    async def token(self, text: str) -> None:
        await self.event(id="c", object="chat.completion.chunk", choices=[{"index": 0, "delta": {"content": text}}])

    async def end(self, usage: dict[str, int] | None = None) -> None:
        if usage is not None:
            await self.event(id="c", object="chat.completion.chunk", choices=[], usage=usage)
        await self.chunk(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        self.was_cut = True
        self.writer.transport.abort()


Handler = Callable[[Request, Reply], Awaitable[None]]
USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}


async def answer(request: Request, reply: Reply) -> None:
    """What a healthy engine does: three tokens."""
    if request.json.get("stream"):
        await reply.start_stream()
        for text in ("Ein", " fjord", "."):
            await reply.token(text)
        await reply.end(USAGE if request.json.get("stream_options", {}).get("include_usage") else None)
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Ein fjord."}, "finish_reason": "stop"}
        await reply.whole({"id": "c", "object": "chat.completion", "choices": [choice], "usage": USAGE})


class Engine:
    """One engine on a port of its own. `handle` may be exchanged at any time; `requests` are those that came.

    With `tls` it is an https upstream.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.handle: Handler = answer
        self.health = 200
        self.requests: list[Request] = []
        self.connections = 0
        self.left = 0  # connections that the gateway closed in the middle of an answer
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await self._read(reader)
                reply = Reply(writer)
                if request.path.endswith("/health"):
                    await reply.whole(b"", self.health)
                    continue
                self.requests.append(request)
                handling = asyncio.ensure_future(self.handle(request, reply))
                watching = asyncio.ensure_future(reader.read(1))  # nothing is pipelined: only an end can come
                await asyncio.wait({handling, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not handling.done():
                    self.left += 1
                    reply.closed.set()
                    handling.cancel()
                    return
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                if isinstance(handling.exception(), ConnectionError) and not reply.was_cut:
                    self.left += 1
                    return
                handling.result()
        except (asyncio.IncompleteReadError, ConnectionError, BrokenPipeError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, path, headers, body)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
