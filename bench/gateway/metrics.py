"""What metrics cost a gateway worker: us of CPU a request and ns a chunk, and what a scrape does to chunks that pass.

    python -m bench.gateway.metrics [--rounds 30] [--requests 500]

Beside each figure stands a baseline of the same run: one counter alone, the same with prometheus_client's own objects,
the same text by its writer. Series are those of fleets whose every model was asked in every language that any of them
has, by 100 tenants in three classes. Counting is timed in CPU seconds, which holds on a machine that others use too;
how long a chunk waits is wall time, and needs a machine of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter, process_time
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from bench.routing.decide import fleet_of, prompts
from observability import metrics
from serve.fleet.description import Fleet
from serve.fleet.loader import laptop
from serve.fleet.tasks import Task
from serve.gateway.auth import Caller
from serve.gateway.choice import Chosen
from serve.gateway.exchange import Exchange
from serve.gateway.instruments import Counts, Instruments
from serve.gateway.instruments.exposition import expose, slices
from serve.gateway.instruments.families import Registry
from serve.gateway.instruments.tally import Tally
from serve.gateway.moments import Attempt, Moments
from serve.gateway.record import Finished
from serve.gateway.stream import Usage
from serve.routing import prepare
from serve.routing.decide import decide_observed
from serve.routing.observe import observe
from serve.routing.records import Endpoint
from serve.routing.reply import Judged, Verdict

TENANTS = [f"tenant-{number}" for number in range(100)]
CLASSES = ("free", "team", "batch")
CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":" fjord"}}]}\n\n'
TICK_S = 0.001  # between two chunks whose waiting is measured


def finished(fleet: Fleet, count: int) -> list[Finished]:
    """Streamed answers as the gateway leaves them, decided by the fleet's own rules."""
    rng = random.Random(7)  # noqa: S311 - a repeatable choice, no secret
    made = []
    for request in prompts(600, count):
        observed = observe(request)
        decision = decide_observed(observed, request, fleet, {}, 0.0)
        assert decision.model is not None
        at = rng.random()
        attempt = Attempt(decision.model, at + 0.001, at + 0.0012, at + 0.2, at + 2.0)
        moments = Moments(at, at + 0.0003, at + 0.0008, at + 0.2001, at + 2.0, [attempt], at + 0.2001)
        caller = Caller(rng.choice(TENANTS), "key", None, rng.choice(CLASSES))
        chosen = Chosen(decision, request, observed, {}, 0.0003)
        usage = Usage(prompt_tokens=180, cached_tokens=90, completion_tokens=240)
        done = Finished(
            0.0, "r", "d", Endpoint.CHAT, 200, caller, 1, decision.model, chosen, moments, usage, 123_456, None
        )
        done.judged = Judged(Verdict.RIGHT, decision.language.answer)
        made.append(done)
    return made


def cpu(work: Callable[[], Any], rounds: int, each: int) -> float:
    """CPU seconds of one of `each`: the least of rounds, for what others do on the machine only adds."""
    spent = []
    for _ in range(rounds):
        began = process_time()
        work()
        spent.append((process_time() - began) / each)
    return min(spent)


def counting(fleet: Fleet, rounds: int, requests: int) -> None:
    """Prints what a request costs."""
    all_done = finished(fleet, requests)
    instruments = Instruments(fleet, TENANTS)
    tally = Tally(instruments, fleet)
    alone = Counts(metrics.REQUESTS, Registry())
    library = metrics.REQUESTS.counter(CollectorRegistry())
    labels = ("m", "nb", "free", "200", "cheapest")

    def count() -> None:
        for done in all_done:
            tally.count(done)

    def one() -> None:
        for _ in all_done:
            alone.add(labels)

    def one_of_the_library() -> None:
        for _ in all_done:
            library.labels(*labels).inc()

    count()
    print(f"a request, {len(fleet.models)} models (CPU)")
    print(f"  all that is counted of it          {cpu(count, rounds, requests) * 1e6:8.2f} us")
    print(f"  one counter alone                  {cpu(one, rounds, requests) * 1e6:8.2f} us")
    print(f"  one counter of prometheus_client   {cpu(one_of_the_library, rounds, requests) * 1e6:8.2f} us")


async def chunks(rounds: int) -> None:
    """Prints what a chunk costs as it reaches the gateway."""
    instruments = Instruments(laptop())
    library = metrics.ITL.histogram(CollectorRegistry()).labels("m")
    count = 20_000
    exchange = Exchange(asyncio.get_running_loop(), 1.0)

    def feed() -> None:
        for _ in range(count):
            exchange.feed(CHUNK)
        exchange._chunks.clear()
        exchange.buffered = 0

    def observe_by_the_library() -> None:
        for _ in range(count):
            library.observe(0.02)

    without = cpu(feed, rounds, count)
    exchange.gaps = instruments.itl.child(("m",))
    counted = cpu(feed, rounds, count)
    print("a chunk (CPU)")
    print(f"  its gap counted                    {(counted - without) * 1e9:8.0f} ns more than {without * 1e9:.0f}")
    print(f"  prometheus_client's histogram      {cpu(observe_by_the_library, rounds, count) * 1e9:8.0f} ns")


def full(fleet: Fleet) -> Instruments:
    """Every series that a long life brings: all models in all languages, tenants and classes, some errors."""
    to = Instruments(fleet, TENANTS)
    for model in fleet.models:
        for language in (*to.languages, "other"):
            pair = (model.id, language)
            for tenant_class in CLASSES:
                for status, reason in (("200", "cheapest"), ("200", "exact"), ("499", "cheapest"), ("503", "cheapest")):
                    to.requests.add((*pair, tenant_class, status, reason), 12345)
            for direction in ("input", "output", "cached_input"):
                to.tokens.add((*pair, direction), 123456789)
            for direction in ("input", "output"):
                to.words.add((*pair, direction), 12345.678)
            for counts in (to.cost, to.reference_cost, to.quality_given_up, to.quality_known, to.checked):
                counts.add(pair, 123456)
            to.wrong_language.add(pair, 1)
            to.token_ratio.set(pair, 1.0123)
            for task in ("none", *Task):
                for statistic in ("mean", "p50", "p90"):
                    to.answer_tokens.set((*pair, task, statistic), 234.5678)
            to.language_ttft.child((language,)).observe(0.2)
    return to


def series(to: Instruments) -> int:
    """How many a scrape has."""
    return sum(part.count("\n") for part in slices(to.registry, False)) - 2 * len(to.registry.collectors)


async def waits(during: Callable[[], Awaitable[None]] | None, seconds: float) -> list[float]:
    """How late a chunk is that comes every `TICK_S`, in seconds, while that goes on again and again."""
    loop = asyncio.get_running_loop()
    late: list[float] = []
    done = asyncio.Event()
    until = perf_counter() + seconds

    def tick(due: float) -> None:
        now = perf_counter()
        late.append(max(now - due, 0.0))
        if now < until:
            loop.call_later(TICK_S, tick, now + TICK_S)
        else:
            done.set()

    tick(perf_counter())
    while not done.is_set():
        if during is not None:
            await during()
        await asyncio.sleep(0)
        if during is None:
            await done.wait()
    return late


def quantiles(values: list[float]) -> str:
    """p50, p99 and the longest, in ms."""
    ordered = sorted(values)
    picked = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
    return " ".join(f"{value * 1e3:8.2f}" for value in picked)


async def scrape(name: str, to: Instruments, rounds: int) -> None:
    """Prints how long the text takes to make, and what chunks wait for it."""
    lengths = [list(_timed(slices(to.registry, True))) for _ in range(rounds)]
    longest = min(map(max, lengths))
    whole = cpu(lambda: "".join(slices(to.registry, True)), rounds, 1)
    library = cpu(lambda: generate_latest(to.registry), 1, 1)
    print(f"a scrape, {name}: {series(to)} series")
    print(f"  the whole text                     {whole * 1e3:8.2f} ms (CPU), at most {longest * 1e3:.2f} at once")
    print(f"  prometheus_client's writer         {library * 1e3:8.2f} ms (CPU), at once")

    async def ours() -> None:
        await expose(to.registry, "application/openmetrics-text; version=1.0.0")

    async def theirs() -> None:
        generate_latest(to.registry)

    print("  a chunk waits (ms)                      p50      p99  longest")
    print(f"    without scrapes                  {quantiles(await waits(None, 2.0))}")
    print(f"    scrape upon scrape               {quantiles(await waits(ours, 3.0))}")
    print(f"    the same by prometheus_client    {quantiles(await waits(theirs, 3.0))}")


def _timed(parts: Iterator[str]) -> Iterator[float]:
    while True:
        began = process_time()
        if next(parts, None) is None:
            return
        yield process_time() - began


async def main() -> None:
    """Prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=500)
    args = parser.parse_args()
    five, ten = laptop(), fleet_of(10)
    prepare(five)
    gc.collect()
    gc.freeze()  # as the gateway does before it serves
    gc.set_threshold(10_000, 20, 50)
    counting(five, args.rounds, args.requests)
    counting(ten, args.rounds, args.requests)
    await chunks(args.rounds)
    await scrape("five models at the start", Instruments(five, ()), args.rounds)
    await scrape("five models, full", full(five), args.rounds)
    await scrape("ten models, full", full(ten), args.rounds)


if __name__ == "__main__":
    uvloop.run(main())
