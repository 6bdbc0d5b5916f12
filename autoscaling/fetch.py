"""One HTTP call that ends: a deadline for the whole of it, and a limit for the answer's size."""

from __future__ import annotations

import http.client
import socket
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
    deadline = time.monotonic() + timeout_s
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout_s)
    try:
        connection.connect()
        connection.request(method, parts._replace(scheme="", netloc="").geturl() or "/", body, dict(headers or {}))
        _limit(connection.sock, deadline)
        response = connection.getresponse()
        received = bytearray()
        # The socket's time-out is for one read: whoever sends a byte a second would never be late.
        while part := response.read1(PART_BYTES):
            received += part
            if len(received) > MOST_BYTES:
                raise Unreachable(f"{url}: the answer is larger than {MOST_BYTES} bytes")
            _limit(connection.sock, deadline)
    except TimeoutError as error:
        raise Unreachable(f"{url}: no whole answer within {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if response.length:  # the connection ended before the length that was promised
        raise Unreachable(f"{url}: the answer was cut off")
    return response.status, bytes(received)


def _limit(connected: socket.socket | None, deadline: float) -> None:
    """Gives the next read what is left. Raises TimeoutError when nothing is."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if connected is not None:  # http.client lets go of it once it has read all
        connected.settimeout(left)
