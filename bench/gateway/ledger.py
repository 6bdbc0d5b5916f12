"""What budgets and the ledger cost a gateway worker: us of CPU a request, on its path and in the thread that writes.

    python bench/gateway/ledger.py [--rounds 15] [--requests 2000]

Beside them stand, in the same run, the decision that precedes them, and one fsynced transaction a request: what the
path would cost without leases. The least of rounds is printed, for what others do on the machine only adds.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time, thread_time, time

import msgspec

from bench.gateway.metrics import finished
from bench.routing.decide import prompts
from serve.fleet.gateway import Limits
from serve.fleet.loader import laptop
from serve.gateway.auth import KeysFile
from serve.gateway.body import parse
from serve.gateway.instruments import Instruments
from serve.gateway.ledger.account import Hold
from serve.gateway.ledger.database import Sqlite
from serve.gateway.ledger.keeper import Keeper
from serve.gateway.ledger.opening import open_ledger
from serve.gateway.ledger.rows import Row, rows_of
from serve.gateway.ledger.store import NAME, Store
from serve.gateway.ledger.writer import CHUNK, machine_clock
from serve.gateway.record import Finished
from serve.gateway.upstream import Upstream
from serve.routing import decide, prepare
from serve.routing.records import Endpoint

BODY = {"model": "auto", "max_tokens": 256, "messages": [{"role": "user", "content": "Kva er ein fjord? " * 30}]}


async def least(work: Callable[[], Awaitable[None]], rounds: int, each: int, clock: Callable[[], float]) -> float:
    """us of one of `each`."""
    spent = []
    for _ in range(rounds):
        began = clock()
        await work()
        spent.append((clock() - began) / each)
    return min(spent) * 1e6


def with_tenants(all_done: Sequence[Finished]) -> list[Finished]:
    """The same, each with an id of its own and of this moment."""
    return [msgspec.structs.replace(done, at=time(), decision_id=f"d{at}") for at, done in enumerate(all_done)]


async def path(keeper: Keeper, upstreams: dict[str, Upstream], all_done: Sequence[Finished]) -> None:
    """Reserves and settles, as `Job` does."""
    body = msgspec.json.encode(BODY)
    parsed = parse(body, Endpoint.CHAT, {}, Limits())
    for done in all_done:
        account = keeper.of(done.caller.tenant)
        hold = None
        if account is not None:
            hold = Hold(account, len(body))
            decision = done.decision
            assert decision is not None
            assert decision.model is not None
            await keeper.reserve(hold, upstreams[decision.model], parsed, decision)
        keeper.settle(done, hold)


async def measure(rounds: int, requests: int) -> None:
    """Prints the table."""
    fleet = laptop()
    prepare(fleet)
    upstreams = {model.id: Upstream(model, fleet, fleet.gateway.timeouts) for model in fleet.models}
    all_done = with_tenants(finished(fleet, requests))
    names = sorted({done.caller.tenant for done in all_done})
    rich = KeysFile.model_validate({"tenants": {name: {"budget_usd": 1_000_000} for name in names}})
    print(f"us of CPU a request, {len(fleet.models)} models, {len(names)} tenants")
    with tempfile.TemporaryDirectory() as folder:
        for words, keys in (("with budgets", rich), ("without", None)):
            directory = Path(folder) / words
            keeper = open_ledger(fleet.gateway, keys, directory, Instruments(fleet, names))
            keeper.start()

            async def reserve_and_settle(keeper: Keeper = keeper) -> None:
                keeper._finished.clear()
                await path(keeper, upstreams, all_done)

            print(f"  on the path, {words:14} {await least(reserve_and_settle, rounds, requests, thread_time):10.2f}")
            await keeper.stop()
        await writing(Path(folder), all_done, rounds)
    asked = prompts(600, min(requests, 500))

    async def deciding() -> None:
        for request in asked:
            decide(request, fleet, {}, 0.0)

    print(f"  the decision before it        {await least(deciding, rounds, len(asked), thread_time):10.2f}")


async def writing(folder: Path, all_done: Sequence[Finished], rounds: int) -> None:
    """Prints what a row costs off the path, and what it would cost on it."""
    store = Store(Sqlite(folder / NAME))
    store.create()
    made = 0

    async def to_rows() -> None:
        for done in all_done:
            list(rows_of(done))

    def fresh(count: int) -> list[Row]:
        nonlocal made
        rows = [row for done in all_done[:count] for row in rows_of(done)]
        made += 1
        return [msgspec.structs.replace(row, decision_id=f"{row.decision_id}-{made}") for row in rows]

    batches = iter([fresh(CHUNK) for _ in range(rounds)])
    alone = iter([fresh(20) for _ in range(rounds)])

    async def in_batches() -> None:
        store.commit("w", next(batches), (), machine_clock(), 30)

    async def one_by_one() -> None:
        for row in next(alone):
            store.commit("w", [row], (), machine_clock(), 30)

    count = len(all_done)
    print(f"  made into a row, in batches   {await least(to_rows, rounds, count, thread_time):10.2f}")
    print(f"  written, by the thread        {await least(in_batches, rounds, count, process_time):10.2f}")
    print(f"  were it written on the path   {await least(one_by_one, rounds, 20, perf_counter):10.2f}  (wall time)")
    store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    asyncio.run(measure(options.rounds, options.requests))
