"""The ledger of a real gateway process: it agrees with what clients paid, and outlives full disks, locks and kills."""

import json
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.integration.gateway.conftest import fleet
from tests.integration.gateway.test_budgets import ask, keys_file
from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.integration

ENDLESS = resource.RLIM_INFINITY


@pytest.fixture
def tenants(tmp_path, pair):
    """A gateway with a state directory, and the keys of two tenants."""
    keys = keys_file(tmp_path, acme={"budget_usd": 1, "period": "day"}, beta=None)
    return fleet(*pair, keys_file="keys.yaml", state_dir="state", ledger={"lease_s": 3}), keys


def rows(directory, sql="SELECT decision_id, nano_usd FROM ledger"):
    with sqlite3.connect(f"file:{directory / 'state' / 'ledger.sqlite'}?mode=ro", uri=True, timeout=10) as reader:
        return reader.execute(sql).fetchall()


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def pending(gateway):
    return gateway.metric("parlance_ledger_pending_rows")


def nano(answers):
    return {a.headers["x-parlance-decision-id"]: round(a.json["usage"]["cost"] * 1e9) for a in answers}


def test_rows_are_what_clients_paid_and_the_command_adds_them_up(tmp_path, pair, tenants):
    described, keys = tenants
    gateway = GatewayProcess(tmp_path, described)
    try:
        answers = [ask(gateway, keys[name], model=model) for name in keys for model in ("big", "small", "auto")]
        assert ask(gateway, "nobody").status == 401
        until(lambda: pending(gateway) == 0)
        assert dict(rows(tmp_path)) == nano(answers)
        assert gateway.metric("parlance_ledger_rows_total") == 6
        logged = {r["decision_id"]: r["cost_nano_usd"] for r in gateway.records() if r["status"] == 200}
        assert dict(rows(tmp_path)) == logged
        columns = "tenant, key_name, language, input_tokens, output_tokens, status"
        assert set(rows(tmp_path, f"SELECT {columns} FROM ledger")) == {
            (name, f"k-{name}", "de", 10, 3, 200) for name in keys
        }
    finally:
        gateway.stop()
    command = [sys.executable, "-m", "serve.cli", "tenants", "spend", "--fleet", str(tmp_path / "fleet.yaml")]
    shown = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60).stdout)
    assert [(line["tenant"], line["requests"], line["budget_usd"]) for line in shown] == [
        ("acme", 3, 1.0),
        ("beta", 3, None),
    ]
    assert sum(line["nano_usd"] for line in shown) == sum(nano(answers).values())
    table = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.splitlines()
    assert table[0].split()[:4] == ["tenant", "class", "period", "requests"]
    assert not list((tmp_path / "state").glob("ledger-spill-*"))


def test_a_full_disk_costs_no_request_and_no_row(tmp_path, pair, tenants):
    """Fault 34: from one moment on the process can make no file longer, as on a file system that is full."""
    described, keys = tenants
    gateway = GatewayProcess(tmp_path, described)
    try:
        before = [ask(gateway, keys["acme"]) for _ in range(3)]
        until(lambda: pending(gateway) == 0)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (0, ENDLESS))
        during = [ask(gateway, keys[name]) for name in ("acme", "beta") * 10]
        assert {answer.status for answer in during} == {200}
        until(lambda: gateway.metric("parlance_ledger_write_failures_total") >= 1)
        assert pending(gateway) == 20
        until(lambda: gateway.metric("parlance_ledger_lag_seconds") > 1)
        assert gateway.metric("parlance_budget_spent_usd", tenant="acme") * 1e9 == pytest.approx(
            sum(nano([*before, *during[::2]]).values())
        ), "what is not on disk counts all the same"
        assert dict(rows(tmp_path)) == nano(before), "nothing half-written is read"
        assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (ENDLESS, ENDLESS))
        until(lambda: pending(gateway) == 0)
        assert dict(rows(tmp_path)) == nano([*before, *during])
        ((spent,),) = rows(tmp_path, "SELECT SUM(nano_usd) FROM spend WHERE tenant = 'acme'")
        assert spent == sum(nano([*before, *during[::2]]).values())
        assert gateway.metric("parlance_ledger_rows_total") == 23
        assert ask(gateway, keys["acme"]).status == 200
    finally:
        gateway.stop()


def test_what_a_locked_ledger_does_not_take_survives_a_kill(request, tmp_path, pair, tenants):
    described, keys = tenants
    gateway = GatewayProcess(tmp_path, described)
    request.addfinalizer(gateway.stop)
    ask(gateway, keys["acme"])
    until(lambda: pending(gateway) == 0)
    holder = sqlite3.connect(tmp_path / "state" / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answers = [ask(gateway, keys["beta"]) for _ in range(5)]
    until(lambda: (spills := list((tmp_path / "state").glob("ledger-spill-*"))) and lines(spills[0]) == 5)
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    holder.execute("ROLLBACK")
    holder.close()
    assert len(rows(tmp_path)) == 1
    gateway = GatewayProcess(tmp_path, described)
    try:
        assert len(rows(tmp_path)) == 6
        assert nano(answers).items() <= dict(rows(tmp_path)).items()
        assert not list((tmp_path / "state").glob("ledger-spill-*"))
        ((spent,),) = rows(tmp_path, "SELECT nano_usd FROM spend WHERE tenant = 'beta'")
        assert spent == sum(nano(answers).values())
    finally:
        gateway.stop()


def lines(path):
    return path.read_bytes().count(b"\n")


def test_where_the_ledger_must_be_written_requests_of_budgets_are_refused_when_it_cannot(tmp_path, pair, tenants):
    described, keys = tenants
    described["gateway"]["ledger"] = {"lease_s": 3, "when_unwritable": "refuse"}
    gateway = GatewayProcess(tmp_path, described)
    try:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (0, ENDLESS))
        until(lambda: ask(gateway, keys["acme"]).status == 429)
        assert ask(gateway, keys["beta"]).status == 200, "a tenant without a budget needs no lease"
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (ENDLESS, ENDLESS))
        until(lambda: ask(gateway, keys["acme"]).status == 200)
    finally:
        gateway.stop()


def test_rows_of_a_busy_gateway_are_all_there_when_it_stops(request, tmp_path, pair, tenants):
    described, keys = tenants
    gateway = GatewayProcess(tmp_path, described)
    request.addfinalizer(gateway.stop)
    answers = [ask(gateway, keys["acme"]) for _ in range(30)]
    assert gateway.stop() == 0
    assert dict(rows(tmp_path)) == nano(answers)
    with sqlite3.connect(tmp_path / "state" / "ledger.sqlite") as reader:
        assert reader.execute("SELECT COUNT(*) FROM leases").fetchone() == (0,), "leases are given back"
