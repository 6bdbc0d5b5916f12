"""Who may call the operator's port from a browser: its own page, and nobody else's."""

import pytest

from serve.errors import Forbidden
from serve.gateway.console import guard

pytestmark = pytest.mark.unit

NAMES = guard.names_of("ops.example", ["parlance.internal"])
SEND = {b"host": b"127.0.0.1:8081", b"content-type": b"application/json", guard.HEADER: b"1"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8081", "LOCALHOST:8081", "127.0.0.1:8081", "10.1.2.3:80", "[::1]:8081", "[fe80::1]",
        "parlance.localhost:8081", "ops.example:8081", "parlance.internal",
    ],
)  # fmt: skip
def test_own_names_and_addresses_pass(host):
    guard.check_host([(b"host", host.encode())], NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8081", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example",
        "sub.parlance.internal", "", ":8081", "a@localhost", "localhost/x", "localhost:99999", "localhost:x", "[::1",
        "ops.example\x00",
    ],
)  # fmt: skip
def test_a_name_that_could_be_rebound_is_refused_with_what_to_do(host):
    with pytest.raises(Forbidden, match=r"gateway\.admin_names") as refused:
        guard.check_host([(b"host", host.encode())], NAMES)
    assert refused.value.code == "foreign_host"


@pytest.mark.parametrize("headers", [[], [(b"host", b"localhost"), (b"host", b"evil.example")]])
def test_exactly_one_host_is_needed(headers):
    with pytest.raises(Forbidden):
        guard.check_host(headers, NAMES)


@pytest.mark.parametrize("site", [None, b"same-origin", b"none"])
def test_the_page_and_the_operator_may_read(site):
    guard.check_reader([] if site is None else [(b"sec-fetch-site", site)])


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"", b"SAME-ORIGIN "])
def test_other_sites_may_not_read(site):
    with pytest.raises(Forbidden):
        guard.check_reader([(b"sec-fetch-site", site)])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {b"origin": b"http://127.0.0.1:8081"},
        {b"origin": b"https://127.0.0.1:8081", b"sec-fetch-site": b"same-origin"},
        {b"content-type": b"Application/JSON; charset=utf-8"},
    ],
)
def test_the_page_may_send(more):
    guard.check_sender((SEND | more).items())


@pytest.mark.parametrize(
    "more",
    [
        {b"origin": b"http://evil.example"},
        {b"origin": b"http://127.0.0.1:8080"},  # another port is another origin
        {b"origin": b"http://127.0.0.1"},
        {b"origin": b"null"},
        {b"origin": b""},
        {b"origin": b"file://127.0.0.1:8081"},
        {b"sec-fetch-site": b"cross-site"},
        {b"sec-fetch-site": b"same-site"},
        {b"content-type": b"text/plain"},
        {b"content-type": b"text/plain; application/json"},
        {b"content-type": b"application/x-www-form-urlencoded"},
    ],
)
def test_foreign_pages_may_not_send(more):
    with pytest.raises(Forbidden) as refused:
        guard.check_sender((SEND | more).items())
    assert refused.value.code == "foreign_origin"


@pytest.mark.parametrize("missing", [b"content-type", guard.HEADER])
def test_what_makes_a_browser_ask_first_is_needed(missing):
    with pytest.raises(Forbidden):
        guard.check_sender((name, value) for name, value in SEND.items() if name != missing)
