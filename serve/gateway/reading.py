"""Bodies read within their limits: a client's before it is buffered, an engine's before it is edited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from serve.errors import BadRequest, TooLarge, TooSlow, Unavailable, UpstreamFailed
from serve.fleet.gateway import Limits
from serve.gateway.exchange import Exchange
from serve.gateway.wire import Receive


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limits: Limits) -> bytes:
    """The request's body. Raises TooLarge, before a byte of it is read where the length is announced, and TooSlow."""
    announced = headers.get(b"content-length")
    if announced is not None and int(announced) > limits.body_bytes:  # llhttp let digits through only
        raise _too_large(limits)
    if b"content-encoding" in headers and headers[b"content-encoding"] != b"identity":
        raise BadRequest("content-encoding is not supported: send the body as it is", code="unsupported_encoding")
    message = await receive()  # small bodies are here already: no timer is set for them
    if not message.get("more_body"):
        return _part(message)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            parts, size = [_part(message)], 0
            while message.get("more_body"):
                size += len(parts[-1])
                if size > limits.body_bytes:
                    raise _too_large(limits)
                message = await receive()
                parts.append(_part(message))
    except TimeoutError as error:
        raise TooSlow(f"the body took longer than {limits.body_timeout_s:g} s") from error
    if size + len(parts[-1]) > limits.body_bytes:
        raise _too_large(limits)
    return b"".join(parts)


def _part(message: Mapping[str, object]) -> bytes:
    if message["type"] == "http.disconnect":
        raise BadRequest("the connection closed before the body was whole", code="incomplete_body")
    body = message.get("body", b"")
    assert isinstance(body, bytes)
    return body


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"the body exceeds {limits.body_bytes} bytes")


async def read_all(exchange: Exchange, limit: int) -> bytes:
    """An engine's whole answer. Raises UpstreamFailed over the limit, Unavailable when it breaks off."""
    parts, size = [], 0
    while data := await exchange.read():
        size += len(data)
        if size > limit:
            exchange.fail(Unavailable("given up"))
            raise UpstreamFailed(f"the engine's answer exceeds {limit} bytes")
        parts.append(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)
