"""Whether a request comes from the operator, or from a foreign page that the operator's browser has open.

The port has no keys, so that a browser which can reach it lends its reach to every page that it shows:

* DNS rebinding: a foreign name is made to point here, and its page reads what it likes as its own origin. A name in
  `Host` that is not ours is refused; an IP address cannot be rebound.
* Cross-site request forgery: a foreign page sends a request here blindly. Reading asks for no foreign `Sec-Fetch-Site`;
  the one thing that has an effect, the playground's POST, also for JSON, a header of ours (either of which a browser
  sends across origins only after a preflight, that is never granted) and an `Origin` that is this host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from serve.errors import Forbidden

# The page sends it with every POST; its value says nothing.
HEADER = b"x-parlance-console"

_OWN_SITE = (b"same-origin", b"none")  # none: the operator typed the address
RawHeaders = Iterable[tuple[bytes, bytes]]


def names_of(admin_host: str, admin_names: Collection[str]) -> frozenset[str]:
    """The names, beyond IP addresses, that a browser may call this port by."""
    return frozenset({"localhost", admin_host.lower(), *admin_names})


def check_host(headers: RawHeaders, names: frozenset[str]) -> None:
    """Raises Forbidden where the request names a host that could be a foreign page's."""
    given = [value for name, value in headers if name == b"host"]
    host = _hostname(given[0]) if len(given) == 1 else None
    if host is None or not (host in names or host.endswith(".localhost") or _is_address(host)):
        shown = given[0][:128].decode("latin-1") if given else ""
        raise Forbidden(
            f"the operator's port is not known as {shown!r}: call it by localhost or its IP address, or add the "
            f"name to gateway.admin_names",
            code="foreign_host",
        )


def check_reader(headers: RawHeaders) -> None:
    """Raises Forbidden where a foreign page asks for data. A link to the page itself may come from anywhere."""
    site = dict(headers).get(b"sec-fetch-site")
    if site is not None and site not in _OWN_SITE:
        raise Forbidden("this is for the operator's own page", code="foreign_origin")


def check_sender(headers: RawHeaders) -> None:
    """Raises Forbidden where a POST may have been made by a foreign page."""
    found = dict(headers)
    check_reader(found.items())
    kind = found.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json" or HEADER not in found:
        raise Forbidden(
            f"the playground takes application/json with the header {HEADER.decode()}", code="foreign_origin"
        )
    origin = found.get(b"origin")
    if origin is not None and not _is_origin_of(origin, found.get(b"host", b"")):
        raise Forbidden(f"requests from {origin[:128].decode('latin-1')!r} are not taken", code="foreign_origin")


def _hostname(host: bytes) -> str | None:
    """The name or address in a Host header, without port and brackets."""
    try:
        parts = urlsplit(f"//{host.decode('ascii')}")
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:  # UnicodeDecodeError is one
        return None
    return None if parts.path or parts.query or parts.fragment or "@" in parts.netloc else parts.hostname


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_origin_of(origin: bytes, host: bytes) -> bool:
    """Whether the origin is http or https at this very host and port; https: where TLS ends before the gateway."""
    return origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())
