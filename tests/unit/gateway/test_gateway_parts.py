"""Keys, retry budget, engine errors, journal, error shapes."""

import asyncio
import json
import os
from datetime import UTC, date, datetime

import pytest

from serve import errors
from serve.errors import DescriptionError, Unauthenticated
from serve.fleet.gateway import Retry
from serve.gateway.auth import Key, KeyRefused, Keyring, KeysFile, load_keys, new_key
from serve.gateway.client import Origin
from serve.gateway.engine_errors import translate
from serve.gateway.journal import Journal
from serve.gateway.retry import RetryBudget
from serve.gateway.wire import error_body, error_event, error_object
from serve.routing.records import Endpoint

pytestmark = pytest.mark.unit
TODAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


def ring(**over):
    key, digest = new_key()
    return key, Keyring(KeysFile(keys=(Key(name="k", tenant="t", sha256=digest, **over),)), lambda: NOON)


def test_a_key_is_recognised_in_both_headers():
    key, keyring = ring(models=("a",))
    assert keyring.identify({b"authorization": b"Bearer " + key.encode()}).tenant == "t"
    caller = keyring.identify({b"x-api-key": key.encode()})
    assert caller.models == frozenset({"a"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b""},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Basic KEY"},
        {b"authorization": b"Bearer KEYx"},
        {b"authorization": b"Bearer KEY\x00"},
        {b"authorization": b"Bearer " + b"x" * 10_000},
        {b"authorization": b"KEY"},
        {b"x-api-key": b"' OR 1=1 --"},
    ],
)
def test_anything_else_is_refused(headers):
    key, keyring = ring()
    headers = {name: value.replace(b"KEY", key.encode()) for name, value in headers.items()}
    if headers.get(b"authorization") == b"KEY":
        headers[b"authorization"] = key.encode()
    with pytest.raises(Unauthenticated):
        keyring.identify(headers)


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"revoked": True}, "revoked"),
        ({"expires": TODAY}, "expired"),
        ({"expires": date(2020, 1, 1)}, "expired"),
        ({"expires": date(2020, 1, 1), "revoked": True}, "revoked"),
    ],
)
def test_a_key_that_no_longer_works_is_refused_like_an_unknown_one(over, reason):
    key, keyring = ring(**over)
    with pytest.raises(KeyRefused) as known:
        keyring.identify({b"authorization": b"Bearer " + key.encode()})
    with pytest.raises(KeyRefused) as unknown:
        keyring.identify({b"authorization": b"Bearer x"})
    assert (known.value.reason, unknown.value.reason) == (reason, "unknown")
    assert (known.value.message, known.value.code) == (unknown.value.message, unknown.value.code)
    assert len(keyring) == 0


def test_a_key_stops_to_work_at_midnight_while_the_gateway_runs():
    key, digest = new_key()
    now = [NOON]
    file = KeysFile(keys=(Key(name="k", tenant="t", sha256=digest, expires=date(2026, 11, 23)),))
    keyring = Keyring(file, lambda: now[0])
    assert keyring.identify({b"x-api-key": key.encode()}).tenant == "t"
    assert keyring.expiries() == {"t": NOON + 12 * 3600}
    now[0] += 12 * 3600
    with pytest.raises(KeyRefused) as caught:
        keyring.identify({b"x-api-key": key.encode()})
    assert (caught.value.reason, len(keyring), keyring.expiries()) == ("expired", 0, {})


def test_the_next_expiry_is_of_a_tenants_working_keys():
    days = [("a", 3, False), ("a", 2, True), ("a", 5, False), ("b", None, False), ("c", 1, False)]
    keys = tuple(
        Key(name=f"k{at}", tenant=tenant, sha256=f"{at:064x}", expires=date(2026, 12, day) if day else None, revoked=r)
        for at, (tenant, day, r) in enumerate(days)
    )
    expiries = Keyring(KeysFile(keys=keys), lambda: NOON).expiries()
    assert list(expiries) == ["c", "a"]
    assert expiries["a"] == datetime(2026, 12, 3, tzinfo=UTC).timestamp()


def test_a_keys_file_says_everything_that_is_wrong_with_it(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text("keys:\n - {name: a b, tenant: t, sha256: zz}\n - {name: c, tenant: t, sha256: 00, secret: x}\n")
    with pytest.raises(DescriptionError) as caught:
        load_keys(path)
    assert {p.path for p in caught.value.problems} >= {"keys[0].name", "keys[0].sha256", "keys[1].secret"}


def test_retries_stay_a_fraction_of_requests():
    budget = RetryBudget(Retry(budget_ratio=0.2, budget_floor=3))
    granted = 0
    for _ in range(1000):
        budget.request()
        granted += budget.take()
    assert 3 <= granted <= 3 + 0.2 * 1000


def test_no_budget_no_retry():
    budget = RetryBudget(Retry(budget_ratio=0, budget_floor=0))
    budget.request()
    assert not budget.take()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, b'{"error":{"message":"bad","type":"BadRequestError","code":400}}', errors.BadRequest, "invalid_value"),
        (
            400,
            b'{"error":{"message":"This model\'s maximum context length is 4096 tokens","code":400}}',
            errors.BadRequest,
            "context_length_exceeded",
        ),
        (404, b'{"detail":"Not Found"}', errors.NotFound, "not_found"),
        (405, b'{"detail":"Method Not Allowed"}', errors.MethodNotAllowed, "method_not_allowed"),
        (401, b'{"error":"Unauthorized"}', errors.UpstreamFailed, "engine_error"),
        (429, b"busy", errors.Overloaded, "overloaded"),
        (500, b"<html>503 Service Unavailable</html>", errors.Unavailable, "engine_unavailable"),
        (500, b"Internal Server Error", errors.Unavailable, "engine_unavailable"),
        (500, b'{"error":{"message":"boom"}}', errors.UpstreamFailed, "engine_error"),
        (503, b'{"error":{"message":"engine restarting","code":503}}', errors.Unavailable, "engine_unavailable"),
        (422, b'{"detail":[{"msg":"field required"}]}', errors.BadRequest, "invalid_value"),
        (418, b"", errors.BadRequest, "invalid_value"),
    ],
)
def test_engine_errors_are_told_in_openais_shape(status, body, kind, code):
    error = translate(status, body, "m")
    assert type(error) is kind
    assert error.code == code
    if error.status == 503:
        assert error.retry_after_s


def test_errors_have_the_shape_that_each_api_expects():
    error = errors.BadRequest("n: 0 is out of range", param="n")
    shape = json.loads(error_body(400, error_object(error), Endpoint.CHAT, "r"))["error"]
    assert shape == {
        "message": "n: 0 is out of range",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_value",
    }
    anthropic = json.loads(error_body(400, error_object(error), Endpoint.MESSAGES, "r"))
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "invalid_request_error")
    for endpoint in (Endpoint.RESPONSES, Endpoint.MESSAGES):
        assert error_event(error, endpoint, "r").startswith(b"event: error\ndata: ")
    assert error_event(error, Endpoint.CHAT, "r").startswith(b'data: {"error":')


def test_a_hostile_name_stays_on_one_line_of_the_journal():
    reading, writing = os.pipe()

    async def write():
        journal = Journal(writing)
        journal.write({"model": "a\r\nb\x1b[31m\u2028"})
        journal.flush()

    asyncio.run(write())
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        lines = file.read().splitlines()
    assert len(lines) == 1
    assert b"\x1b" not in lines[0]


def test_a_journal_that_nobody_reads_drops_and_counts():
    reading, writing = os.pipe()
    os.close(reading)

    async def write():
        journal = Journal(writing)
        journal.write({"a": 1})
        journal.flush()
        return journal.dropped

    assert asyncio.run(write()) == 1
    os.close(writing)


@pytest.mark.parametrize(
    ("url", "host", "header", "prefix"),
    [
        ("http://127.0.0.1:8000/m", "127.0.0.1", b"127.0.0.1:8000", "/m"),
        ("https://api.example.com", "api.example.com", b"api.example.com", ""),
        ("http://[::1]:80/x/", "::1", b"[::1]", "/x"),
    ],
)
def test_origins(url, host, header, prefix):
    origin = Origin.of(url)
    assert (origin.host, origin.host_header, origin.prefix) == (host, header, prefix)
