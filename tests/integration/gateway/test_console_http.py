"""The operator's page over HTTP: whom it answers, what it tells, and the playground's way into the gateway."""

import asyncio
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serve.gateway.auth import new_key
from tests.integration.gateway.conftest import fleet
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

OWN = {"content-type": "application/json", "x-parlance-console": "1"}
NYNORSK = "Kva er ein fjord, og korleis vart han til? Skriv gjerne litt om isen som forma dalane."
BODY = {"model": "auto", "messages": [{"role": "user", "content": NYNORSK}]}


def play(gateway, path, body, headers=OWN):
    return gateway._request(gateway.admin_port, "POST", f"/console/v1/{path}", json.dumps(body).encode(), headers)


def get(gateway, path, **headers):
    return gateway._request(gateway.admin_port, "GET", path, None, headers)


def data(gateway, name):
    answer = get(gateway, f"/console/data/{name}")
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    return answer.json


def soon(look, seconds=10):
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_the_page_and_its_files(gateway):
    page = get(gateway, "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/console/main.js", "/console/theme.css", "/console/icon.svg"):
        first = get(gateway, path)
        assert (first.status, first.headers["x-content-type-options"]) == (200, "nosniff")
        again = gateway._request(gateway.admin_port, "GET", path, None, {"if-none-match": first.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
    for path in (
        "/console/",
        "/console/index.html",
        "/console/../fleet.yaml",
        "/console/%2e%2e/app.py",
        "/console/app.py",
    ):
        assert get(gateway, path).status == 404, path
    head = gateway._request(gateway.admin_port, "HEAD", "/", None, {})
    assert (head.status, head.body) == (200, b"")


def test_a_foreign_name_gets_nothing_but_probes_and_metrics(gateway):
    for path in ("/", "/console/main.js", "/console/data/health", "/fleet", "/nothing"):
        refused = get(gateway, path, host="evil.example")
        assert (refused.status, refused.json["error"]["code"]) == (403, "foreign_host"), path
    for path in ("/healthz", "/readyz", "/metrics"):  # Prometheus and Kubernetes call by names of their own
        assert get(gateway, path, host="parlance-0.parlance:8081").status == 200, path
    assert get(gateway, "/", host=f"localhost:{gateway.admin_port}").status == 200


def test_a_foreign_page_can_neither_read_nor_send(gateway, engines):
    assert get(gateway, "/console/data/decisions", **{"sec-fetch-site": "cross-site"}).status == 403
    assert get(gateway, "/", **{"sec-fetch-site": "cross-site"}).status == 200, "a link to the page may stand anywhere"
    for headers in (
        {"content-type": "text/plain", "x-parlance-console": "1"},
        {"content-type": "application/json"},
        OWN | {"origin": "https://evil.example"},
        OWN | {"origin": "null"},
        OWN | {"sec-fetch-site": "same-site"},
        OWN | {"host": "evil.example", "origin": "http://evil.example"},
    ):
        for path in ("chat/completions", "route"):
            assert play(gateway, path, BODY, headers).status == 403, headers
    preflight = gateway._request(
        gateway.admin_port, "OPTIONS", "/console/v1/chat/completions", None, {"origin": "https://evil.example"}
    )
    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    assert not any(engine.requests for engine in engines)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_the_playground_takes_more_than_get(gateway, method):
    for path in ("/", "/fleet", "/metrics", "/console/data/health", "/console/main.js"):
        assert gateway._request(gateway.admin_port, method, path, b"{}", OWN).status == 405, path


def test_the_playground_has_no_other_paths(gateway):
    for path in ("models", "../metrics", "tokenize", "chat/completions/x", ""):
        assert play(gateway, path, BODY).status == 404, path


def test_decisions_are_told_once_with_cost_and_without_text(gateway):
    place = data(gateway, "decisions")["next"]
    secret = "Skipet heiter Havørna, og korleis ho vart bygd veit berre bestefar min frå øya."
    gateway.chat(secret, stream=True)
    gateway.chat(secret, model="nope-<b>x</b>")
    got = soon(lambda: (d := data(gateway, f"decisions?after={place}")) and len(d["decisions"]) == 2 and d)
    answered, unknown = got["decisions"]
    assert answered["language"] == "nn"
    assert answered["posterior"][0][0] == "nn"
    assert answered["expected_cost_usd"][answered["model"]] > 0
    assert answered["cost_nano_usd"] > 0
    assert answered["ttft_s"] > 0
    assert (unknown["status"], unknown["requested"]) == (404, "nope-<b>x</b>")
    assert "Havørna" not in json.dumps(data(gateway, "decisions"), ensure_ascii=False)
    assert data(gateway, f"decisions?after={got['next']}")["decisions"] == []
    assert get(gateway, "/console/data/decisions?after=-1").status == 400
    assert data(gateway, f"decision?id={answered['decision_id']}")["decision"] == answered
    assert data(gateway, "decision?id=req-none")["decision"] is None


def test_costs_are_the_counters(gateway):
    gateway.chat(NYNORSK)
    rows = {row["language"]: row for row in data(gateway, "costs")["rows"]}
    row = rows["nn"]
    assert row["requests"] == gateway.metric("parlance_requests_total", language="nn")
    assert row["usd"] == pytest.approx(gateway.metric("parlance_cost_usd_total", language="nn"))
    assert row["words"] == pytest.approx(gateway.metric("parlance_words_total", language="nn"))
    assert row["words"] > 0
    assert row["reference_usd"] == pytest.approx(gateway.metric("parlance_reference_cost_usd_total", language="nn"))
    assert row["usd_per_1000_words"] == pytest.approx(1000 * row["usd"] / row["words"])
    assert sum(row["models"].values()) <= row["requests"]


def test_facts_and_health(gateway, engines):
    facts = data(gateway, "facts")
    assert [model["id"] for model in facts["models"]] == ["big", "small"]
    assert facts["keys"] is None
    assert facts["languages"]["nn"] == "Norwegian Nynorsk"
    engines[1].health = 500
    down = soon(lambda: (h := data(gateway, "health"))["models"]["small"]["healthy"] is False and h)
    assert "500" in down["models"]["small"]["reason"]
    engines[1].health = 200
    soon(lambda: data(gateway, "health")["models"]["small"]["healthy"])


def test_the_playground_is_a_client_like_any_other(gateway, engines):
    before = gateway.metric("parlance_requests_total")
    explained = play(gateway, "route", BODY).json
    assert explained["model"] == "small"
    assert {one["model"] for one in explained["candidates"]} == {"big", "small"}
    answer = play(gateway, "chat/completions", BODY | {"stream": True}, OWN | {"cookie": "a=b"})
    assert answer.headers["x-parlance-model"] == "small"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert gateway.metric("parlance_requests_total") == before + 1
    assert gateway.records()[-1]["request_id"] == answer.headers["x-request-id"]
    assert "x-parlance-console" not in engines[1].requests[-1].headers
    too_large = play(gateway, "chat/completions", BODY | {"user": "x" * 300_000})
    assert (too_large.status, too_large.json["error"]["code"]) == (413, "request_too_large")


def test_a_page_that_is_closed_stops_the_engine(gateway, engines):
    async def endless(request, reply):
        await reply.start_stream()
        while True:
            await reply.token("fjord ")
            await asyncio.sleep(0.02)

    engines[1].handle = endless
    body = json.dumps(BODY | {"stream": True}).encode()
    head = b"POST /console/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", gateway.admin_port), timeout=10) as client:
        client.sendall(head + b"x-parlance-console: 1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        got = b""
        while b"fjord" not in got:
            got += client.recv(65536)
    soon(lambda: engines[1].left == 1)
    assert soon(lambda: (r := gateway.records()[-1])["status"] == 499 and r)["model"] == "small"


def test_with_keys_the_playground_needs_one(tmp_path, pair):
    key, digest = new_key()
    (tmp_path / "keys.yaml").write_text(
        json.dumps({"keys": [{"name": "op", "tenant": "ops", "sha256": digest, "models": ["big"]}]})
    )
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml"))
    try:
        assert data(gateway, "facts")["keys"] == 1
        for path in ("route", "chat/completions"):
            refused = play(gateway, path, BODY)
            assert (refused.status, refused.json["error"]["code"]) == (401, "missing_api_key")
        answer = play(gateway, "chat/completions", BODY, OWN | {"authorization": f"Bearer {key}"})
        assert (answer.status, answer.headers["x-parlance-model"]) == (200, "big"), "the key's limits hold"
        told = soon(lambda: data(gateway, "decisions")["decisions"][-1:])
        assert (told[0]["tenant"], told[0]["key"]) == ("ops", "op")
        assert key not in json.dumps(told)
        assert digest not in get(gateway, "/console/data/facts").body.decode()
    finally:
        gateway.stop()


def test_without_keys_an_open_port_has_no_playground(tmp_path, pair):
    gateway = GatewayProcess(tmp_path, fleet(*pair, admin_host="0.0.0.0", admin_names=["ops.internal"]))
    try:
        assert get(gateway, "/", host="ops.internal").status == 200
        refused = play(gateway, "chat/completions", BODY)
        assert (refused.status, refused.json["error"]["code"]) == (403, "playground_off")
        assert not pair[1].requests
    finally:
        gateway.stop()


class Autoscaler:
    """A plan whose every byte the test decides."""

    def __init__(self):
        self.status, self.body, self.wait_s, self.asked = 200, b"{}", 0.0, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                time.sleep(outer.wait_s)
                self.send_response(outer.status)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a reader that has had enough is what is tested
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_the_plan_is_read_with_limits_and_the_last_one_is_kept(tmp_path, pair):
    autoscaler = Autoscaler()
    autoscaler.body = b'{"at": 5, "models": {}}'  # before the gateway itself reads it
    url = f"http://127.0.0.1:{autoscaler.server.server_port}/plan"
    gateway = GatewayProcess(tmp_path, fleet(*pair, plan_url=url))
    try:
        first = data(gateway, "plan")
        assert (first["url"], first["plan"], first["problem"]) == (url, {"at": 5, "models": {}}, None)

        def problem():
            time.sleep(1.05)  # a plan is kept for a second
            got = data(gateway, "plan")
            assert got["plan"] == {"at": 5, "models": {}}, "the last one that was read"
            assert got["read_at"] == first["read_at"]
            return got["problem"]

        autoscaler.asked = 0
        time.sleep(1.05)
        together = [threading.Thread(target=data, args=(gateway, "plan")) for _ in range(8)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        first = data(gateway, "plan")
        assert autoscaler.asked <= 2, "whoever looks, it is asked once a second"
        autoscaler.status = 503
        assert problem() == "the autoscaler answered 503"
        autoscaler.status, autoscaler.body = 200, b"[1]"
        assert problem() == "what answers there is not a JSON object"
        autoscaler.body = b'{"x": "' + b"y" * 1_100_000 + b'"}'
        assert "exceeds" in problem()
        autoscaler.body, autoscaler.wait_s = b"{}", 4
        assert problem() == "no answer within 2 s"
        autoscaler.stop()
        assert problem() == "nobody answers there"
    finally:
        autoscaler.stop()
        gateway.stop()


def test_without_an_autoscaler_there_is_no_plan(gateway):
    assert data(gateway, "plan") == {"url": None, "plan": None, "read_at": None, "problem": None}
