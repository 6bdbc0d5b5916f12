"""Nothing that a client sends makes a series: thousands of model names, languages and tenants, over real HTTP."""

import hashlib
import http.client
import json
import threading

import pytest
import yaml

from observability import metrics
from observability.labels import MAX_TENANTS
from tests.integration.gateway.conftest import fleet
from tests.support.gateway import GatewayProcess
from tests.support.scrape import Scrape

pytestmark = pytest.mark.integration

REQUESTS, KEYS, CALLING, CLIENTS = 5_000, 5_000, 150, 4
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tag(number):
    """One of 17,576 tags of three letters: shaped like a language, and most of them none."""
    return LETTERS[number // 676 % 26] + LETTERS[number // 26 % 26] + LETTERS[number % 26]


@pytest.fixture
def gateway(tmp_path, pair):
    keys = [
        {"name": f"k{n}", "tenant": f"tenant-{n}", "sha256": hashlib.sha256(b"key-%d" % n).hexdigest()}
        for n in range(KEYS)
    ]
    (tmp_path / "keys.yaml").write_text(yaml.dump({"version": 1, "keys": keys}, Dumper=yaml.CSafeDumper))
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml"))
    yield gateway
    gateway.stop()


def request(number):
    """Every third asks for a model that does not exist, the others for any, with a language of their own; each has
    x-parlance headers that nobody else has."""
    unknown = number % 3 == 0
    body = {
        "model": f"model-{number}" if unknown else "auto",
        "messages": [{"role": "user", "content": "ok"}],
        "stream": number % 2 == 0,
    }
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer key-{number % CALLING if number % 50 else f'none-{number}'}",
        "x-parlance-language": tag(number * 3),
        "x-parlance-session": f"session-{number}",
        "x-parlance-model": f"model-{number}",
        "x-parlance-tenant": f"tenant-{number}",
        "x-request-id": f"mine-{number}",
        "traceparent": f"00-{number:032x}-{number + 1:016x}-01",
    }
    return json.dumps(body), headers


def ask(gateway, first, statuses):
    """One client's share, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    for number in range(first, REQUESTS, CLIENTS):
        connection.request("POST", "/v1/chat/completions", *request(number))
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()


def test_five_thousand_of_each_make_no_more_series_than_the_description_allows(gateway):
    for number in range(200):  # what exists after a little traffic of every kind
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", *request(number))
        connection.getresponse().read()
        connection.close()
    before, statuses = Scrape.of(gateway), []
    clients = [threading.Thread(target=ask, args=(gateway, first, statuses)) for first in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    after = Scrape.of(gateway)
    assert len(statuses) == REQUESTS
    assert set(statuses) == {200, 401, 404}
    added = after - before
    assert added.get(metrics.REQUESTS) == added.get(metrics.TENANT_REQUESTS) == REQUESTS
    for status in (200, 401, 404):
        assert added.get(metrics.REQUESTS, status=str(status)) == statuses.count(status) > 0
    values = {}
    for _, having in after.values:
        for label, value in having:
            values.setdefault(label, set()).add(value)
    assert len(values["tenant"]) == MAX_TENANTS + 2
    assert values["model"] == {"big", "small", "none"}
    assert values["tenant_class"] == {"default"}
    assert added.get(metrics.TENANT_REQUESTS, tenant="other") > 0
    known = len(values["language"])
    assert known < 60
    assert not any(
        text in value for found in values.values() for value in found for text in ("model-", "session-", "mine-")
    )
    # A language of the description that is first hinted at later has a few series: nothing else may be new.
    new = set(after.values) - set(before.values)
    assert all("language" in dict(having) for _, having in new)
    assert len(after.values) < 3_000
    print(f"{len(before.values)} series before, {len(after.values)} after {REQUESTS} requests; {known} languages")
