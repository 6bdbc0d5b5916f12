"""One HTTP call that ends: a deadline for the whole of it, and a limit for the answer's size."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

MOST_BYTES = 32 * 1024 * 1024
PART_BYTES = 64 * 1024


class Unreachable(Exception):
    """There was no whole answer in time; the words say why."""


def call(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float,
) -> tuple[int, bytes]:
    """Status and body. Raises Unreachable for all that is no answer within `timeout_s`.

    Blocks: for a thread of its own. No redirect is followed, and no proxy of the environment is used.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout_s)
    late = threading.Event()
    timer: threading.Timer | None = None
    began = time.monotonic()
    try:
        connection.connect()
        # A socket's time-out is for one read: whoever sends a byte a second would never be late.
        timer = threading.Timer(timeout_s - (time.monotonic() - began), _hang_up, (connection.sock, late))
        timer.start()
        connection.request(method, parts._replace(scheme="", netloc="").geturl() or "/", body, dict(headers or {}))
        response = connection.getresponse()
        received = bytearray()
        while part := response.read1(PART_BYTES):
            received += part
            if len(received) > MOST_BYTES:
                raise Unreachable(f"{url}: the answer is larger than {MOST_BYTES} bytes")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise Unreachable(f"{url}: no whole answer within {timeout_s:g} s") from error
        raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from error
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()
    if late.is_set():
        raise Unreachable(f"{url}: no whole answer within {timeout_s:g} s")
    if response.length:  # the connection ended before the length that was promised
        raise Unreachable(f"{url}: the answer was cut off")
    return response.status, bytes(received)


def _hang_up(connected: socket.socket, late: threading.Event) -> None:
    """Ends every read and write of a connection."""
    late.set()
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
