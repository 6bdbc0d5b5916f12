"""The page's files, read once, and the headers that let a browser use nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from serve.gateway.wire import Headers, Send

_KINDS = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
# Nothing from elsewhere, nothing inline, no text that becomes markup (trusted types), nobody's frame.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# What every answer of the console carries, data included.
SAFE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", _POLICY),
]
INDEX = "index.html"


class _File(NamedTuple):
    body: bytes
    kind: bytes
    etag: bytes


class Files:
    """What `static/` holds, by name."""

    def __init__(self) -> None:
        self._files = {}
        for entry in resources.files(__package__).joinpath("static").iterdir():
            kind = _KINDS.get(entry.name.rpartition(".")[2])
            if kind is not None:
                body = entry.read_bytes()
                self._files[entry.name] = _File(body, kind, b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode())

    def __contains__(self, name: str) -> bool:
        return name in self._files

    async def send(self, name: str, headers: Mapping[bytes, bytes], send: Send) -> None:
        """Sends a file, or 304 where the browser has it: it asks each time, so that an upgrade shows at once."""
        file = self._files[name]
        known = {tag.strip().removeprefix(b"W/") for tag in headers.get(b"if-none-match", b"").split(b",")}
        fresh = file.etag in known or b"*" in known
        head: Headers = [(b"etag", file.etag), (b"cache-control", b"no-cache"), *SAFE]
        if not fresh:
            head += [(b"content-type", file.kind), (b"content-length", b"%d" % len(file.body))]
        await send({"type": "http.response.start", "status": 304 if fresh else 200, "headers": head})
        await send({"type": "http.response.body", "body": b"" if fresh else file.body})
