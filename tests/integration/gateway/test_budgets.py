"""Budgets under parallel requests, several workers, crashes and full disks, through real gateway processes."""

import contextlib
import http.client
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import yaml

from serve.gateway.auth import new_key
from tests.integration.gateway.conftest import fleet
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

TURN = [{"role": "user", "content": "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht."}]


def keys_file(directory, **tenants):
    """A keys file with one key a tenant, and the keys."""
    made = {name: new_key() for name in tenants}
    path = directory / "keys.yaml"
    content = {
        "tenants": {name: settings for name, settings in tenants.items() if settings},
        "keys": [{"name": f"k-{name}", "tenant": name, "sha256": digest} for name, (_, digest) in made.items()],
    }
    path.write_text(yaml.safe_dump(content))
    return {name: key for name, (key, _) in made.items()}


def priced(usage):
    """An engine's handler that counts so many tokens for every answer, whatever it was asked."""

    async def answer(request, reply):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Ein Satz."}, "finish_reason": "stop"}
        await reply.whole({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})

    return answer


def ask(gateway, key, **fields):
    body = {"model": "big", "messages": TURN, **fields}
    return gateway.post("/v1/chat/completions", body, authorization=f"Bearer {key}")


def spent_usd(answers):
    return sum(answer.json["usage"]["cost"] for answer in answers if answer.status == 200)


def many(gateways, key, count, **fields):
    """So many requests at once, spread over the gateways."""
    with ThreadPoolExecutor(count) as pool:
        gate = threading.Barrier(count)

        def one(number):
            gate.wait(30)
            return ask(gateways[number % len(gateways)], key, **fields)

        return list(pool.map(one, range(count)))


def price_of(gateway, direction):
    return gateway.metric("parlance_price_usd_per_token", model="big", basis="list", direction=direction)


def gauge(gateway, name, tenant="acme"):
    return gateway.metric(f"parlance_{name}", tenant=tenant)


def usage_of(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


MAX_TOKENS = 500
ANSWER = usage_of(40, MAX_TOKENS)  # all that was allowed: the worst case


def test_two_budgets_worth_at_the_last_cent_spend_one(tmp_path, pair):
    """Fault 35."""
    pair[0].handle = priced(ANSWER)
    budget = 0.01
    key = keys_file(tmp_path, acme={"budget_usd": budget, "period": "month"})["acme"]
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml", state_dir="state"))
    try:
        each = ask(gateway, key, max_tokens=MAX_TOKENS).json["usage"]["cost"]
        assert 2 * budget < 200 * each, "the test is about more requests than the budget pays for"
        answers = many([gateway], key, 200, max_tokens=MAX_TOKENS)
        assert {answer.status for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.json["error"]["type"] == "insufficient_quota"
        assert int(refused.headers["retry-after"]) >= 1
        total = each + spent_usd(answers)
        answered = 1 + sum(answer.status == 200 for answer in answers)
        assert answered == len(pair[0].requests), "what was refused was never sent"
        assert total <= budget, "every answer was as long as it might be, and the budget held"
        while (last := ask(gateway, key, max_tokens=MAX_TOKENS)).status == 200:
            total += last.json["usage"]["cost"]
        assert budget - total < 3 * each, "one after another they spend it to the end"
        assert total <= budget + each
        assert last.json["error"]["code"] == "insufficient_quota"
        ends = datetime.now(UTC).strftime("%Y-%m")
        assert f"for {ends} is spent" in last.json["error"]["message"]
        assert int(last.headers["retry-after"]) <= 31 * 86_400
        assert gauge(gateway, "budget_usd") == budget
        assert gauge(gateway, "budget_spent_usd") == pytest.approx(total, abs=1e-9)
        assert gauge(gateway, "budget_reserved_usd") == 0
        assert gauge(gateway, "budget_refusals_total") == sum(a.status == 429 for a in answers) + 1
    finally:
        gateway.stop()


def test_answers_longer_than_expected_overspend_by_one_requests_error_at_most(tmp_path, pair):
    """No max_tokens: every answer fills the context, which nobody expects."""
    pair[0].handle = priced(usage_of(40, 8000))
    key = keys_file(tmp_path, acme={"budget_usd": 0.05})["acme"]
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml", state_dir="state"))
    try:
        each = 40 * price_of(gateway, "input") + 8000 * price_of(gateway, "output")
        answers = many([gateway], key, 60)
        assert {answer.status for answer in answers} == {200, 429}
        assert 0 < spent_usd(answers) <= 0.05 + each
        held = [a.json["error"] for a in answers if a.status == 429 and a.json["error"]["code"] == "budget_reserved"]
        assert not held or "state max_tokens" in held[0]["message"]
    finally:
        gateway.stop()


def test_two_workers_share_one_budget(tmp_path, pair):
    pair[0].handle = priced(ANSWER)
    budget = 0.01
    key = keys_file(tmp_path, acme={"budget_usd": budget})["acme"]
    described = fleet(*pair, keys_file="keys.yaml", state_dir="state")
    workers = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            gateway = described["gateway"]
            gateway |= {"keys_file": "../keys.yaml", "state_dir": "../state", "decision_log": {"enabled": False}}
            workers.append(GatewayProcess(tmp_path / name, described))
        answers = many(workers, key, 200, max_tokens=MAX_TOKENS)
        total = spent_usd(answers)
        assert 0 < total <= budget
        each = next(a.json["usage"]["cost"] for a in answers if a.status == 200)
        deadline = time.monotonic() + 60
        while budget - total > 3 * each and time.monotonic() < deadline:  # what one does not use the other gets
            more = [ask(worker, key, max_tokens=MAX_TOKENS) for worker in workers]
            total += spent_usd(more)
            time.sleep(0.2)
        assert budget - 3 * each < total <= budget + 2 * each
        time.sleep(2.5)  # a worker hears of the other's spending when it renews its lease
        for worker in workers:
            assert gauge(worker, "budget_spent_usd") == pytest.approx(total, abs=1e-9)
    finally:
        for worker in workers:
            worker.stop()


def test_a_worker_killed_under_load_loses_nothing_that_was_recorded_and_overspends_nothing(request, tmp_path, pair):
    pair[0].handle = priced(ANSWER)
    budget = 0.02
    key = keys_file(tmp_path, acme={"budget_usd": budget})["acme"]
    described = fleet(*pair, keys_file="keys.yaml", state_dir="state", ledger={"lease_s": 3})
    gateway = GatewayProcess(tmp_path, described)
    request.addfinalizer(gateway.stop)
    first = [ask(gateway, key, max_tokens=MAX_TOKENS) for _ in range(5)]
    while gateway.metric("parlance_ledger_pending_rows"):
        time.sleep(0.05)
    recorded = gauge(gateway, "budget_spent_usd")
    assert recorded == pytest.approx(spent_usd(first), abs=1e-9)

    async def never(_, reply):
        await reply.closed.wait()

    pair[0].handle = never
    threads = [threading.Thread(target=quietly, args=(gateway, key)) for _ in range(10)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(pair[0].requests) < 15 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pair[0].requests) == 15, "all of them are open, and none was refused"
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    for thread in threads:
        thread.join(10)
    pair[0].handle = priced(ANSWER)
    gateway = GatewayProcess(tmp_path, described)
    try:
        assert gauge(gateway, "budget_spent_usd") == pytest.approx(recorded, abs=1e-9)
        each = first[0].json["usage"]["cost"]
        total = recorded + spent_usd(many([gateway], key, 50, max_tokens=MAX_TOKENS))
        assert total <= budget
        deadline = time.monotonic() + 30
        while budget - total > 3 * each and time.monotonic() < deadline:  # the dead worker's lease ends by itself
            total += spent_usd([ask(gateway, key, max_tokens=MAX_TOKENS)])
            time.sleep(0.05)
        assert budget - 3 * each < total <= budget + each
    finally:
        gateway.stop()


def quietly(gateway, key):
    with contextlib.suppress(OSError, http.client.HTTPException):
        ask(gateway, key, max_tokens=MAX_TOKENS)


def test_without_a_state_directory_budgets_hold_in_memory_and_it_says_so(tmp_path, pair):
    pair[0].handle = priced(ANSWER)
    keys = keys_file(tmp_path, acme={"budget_usd": 0.002}, free=None)
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml"))
    try:
        answers = [ask(gateway, keys["acme"], max_tokens=MAX_TOKENS) for _ in range(12)]
        assert answers[0].status == 200
        assert answers[-1].json["error"]["code"] == "insufficient_quota"
        assert ask(gateway, keys["free"]).status == 200, "a tenant without a budget has none to spend"
        assert "budgets of 1 tenants are kept in memory" in gateway.log.read_text()
        anthropic = {"model": "big", "max_tokens": MAX_TOKENS, "messages": TURN}
        refused = gateway.post("/v1/messages", anthropic, **{"x-api-key": keys["acme"]})
        assert (refused.status, refused.json["error"]["type"]) == (429, "rate_limit_error")
    finally:
        gateway.stop()


def test_budgets_that_cannot_be_kept_stop_the_start(tmp_path, pair):
    keys_file(tmp_path, acme={"budget_usd": 1})
    (tmp_path / "state").write_text("a file, where a directory should be")
    off = {"decision_log": {"enabled": False}}
    with pytest.raises(RuntimeError, match=r"gateway\.state_dir: the ledger in .*state cannot be opened"):
        GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml", state_dir="state", **off))


def test_streams_that_end_early_are_settled_and_hold_nothing(tmp_path, pair):
    async def breaks(request, reply):
        await reply.start_stream()
        for text in ("Ein", " Satz"):
            await reply.token(text)
        reply.cut()

    pair[0].handle = breaks
    key = keys_file(tmp_path, acme={"budget_usd": 1})["acme"]
    gateway = GatewayProcess(tmp_path, fleet(*pair, keys_file="keys.yaml", state_dir="state"))
    try:
        ask(gateway, key, stream=True, max_tokens=MAX_TOKENS)
        record = gateway.records()[-1]
        assert record["usage"]["estimated"]
        assert gauge(gateway, "budget_spent_usd") == pytest.approx(record["cost_nano_usd"] / 1e9, abs=1e-12)
        assert gauge(gateway, "budget_reserved_usd") == 0

        async def slowly(request, reply):
            await reply.start_stream()
            await reply.token("Ein")
            await reply.closed.wait()

        pair[0].handle = slowly
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        body = json.dumps({"model": "big", "messages": TURN, "stream": True, "max_tokens": MAX_TOKENS})
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
        response = connection.getresponse()
        response.read1(10)
        held = gauge(gateway, "budget_reserved_usd")
        assert held >= MAX_TOKENS * price_of(gateway, "output")
        response.close()
        connection.close()
        deadline = time.monotonic() + 10
        while gauge(gateway, "budget_reserved_usd") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert gauge(gateway, "budget_reserved_usd") == 0
        assert gauge(gateway, "budget_spent_usd") > record["cost_nano_usd"] / 1e9
    finally:
        gateway.stop()
