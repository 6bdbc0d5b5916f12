"""The rooms in which requests wait: bounds, fairness, order, and that every place is given back once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.errors import ParlanceError, Unavailable
from serve.fleet import loader
from serve.fleet.gateway import Timeouts
from serve.fleet.gateway import Waking as Settings
from serve.gateway.instruments import Instruments
from serve.gateway.upstream import Upstream
from serve.gateway.waking import Place, Waking
from serve.routing import ModelState, Request, decide
from serve.routing.records import Hints

pytestmark = pytest.mark.unit

ENGINE = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}
ZERO = {**ENGINE, "replicas": {"min": 0, "initial": 0, "max": 2}}


def model(name: str, engine: dict[str, Any]) -> dict[str, Any]:
    return {"use": "suzume-llama-3-8b-multilingual", "id": name, "engine": engine}


FLEET = loader.resolve(
    {
        "models": [
            {"use": "llama-3.3-70b-instruct", "id": "big", "engine": {**ENGINE, "max_model_len": 8192}},
            model("small", ZERO),
            {**model("dear", ZERO), "price": {"input_usd_per_mtok": 0.2, "output_usd_per_mtok": 0.2}},
        ],
        "routing": {"reference": "big", "quality_floor": -100},
    },
    "test",
)
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht und am Tag so blau."


class Rooms:
    """Rooms with tasks that wait in them. `log` has what ended, in order: (name, None or the error)."""

    def __init__(self, most: int = 4, wait_s: float = 60.0) -> None:
        self.upstreams = {one.id: Upstream(one, FLEET, Timeouts()) for one in FLEET.models}
        self.instruments = Instruments(FLEET)
        self.waking = Waking(self.upstreams, "big", Settings(max_requests=most, max_wait_s=wait_s), self.instruments)
        self.log: list[tuple[str, ParlanceError | None]] = []
        self.places: dict[str, Place] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, name: str, tenant: str = "t", model: str = "small", others: tuple[str, ...] = ()) -> None:
        """A request that waits; returns when it does, or was refused."""

        async def wait() -> None:
            try:
                await self.waking.wait(
                    model, tenant, self.waking.deadline(), frozenset(others), lambda p: self.places.update({name: p})
                )
            except ParlanceError as error:
                self.log.append((name, error))
            else:
                self.log.append((name, None))

        self.tasks.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)

    async def settle(self) -> list[str]:
        """The names of those that ended since the last call, in order."""
        for _ in range(4):
            await asyncio.sleep(0)
        names = [name for name, _ in self.log]
        self.log.clear()
        return names

    def counted(self, outcome: str, model: str = "small") -> float:
        labels = {"model": model, "outcome": outcome}
        return self.instruments.registry.get_sample_value("parlance_waking_ends_total", labels) or 0.0


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_only_models_that_may_sleep_have_rooms() -> None:
    async def test() -> None:
        rooms = Rooms()
        assert set(rooms.waking.rooms) == {"small", "dear"}
        assert rooms.waking.holds("small")
        assert not rooms.waking.holds("big")
        assert not Rooms(most=0).waking.holds("small")

    run(test)


def test_they_go_in_the_order_in_which_they_came() -> None:
    async def test() -> None:
        rooms = Rooms()
        for name in "abc":
            await rooms.ask(name)
        await rooms.ask("d", model="dear")
        assert rooms.waking.held("small") == rooms.upstreams["small"].state.in_flight == 3
        rooms.waking.woke("small")
        assert await rooms.settle() == ["a", "b", "c"]
        assert rooms.waking.held("small") == rooms.upstreams["small"].state.in_flight == 0
        assert rooms.counted("woken") == 3
        rooms.waking.woke("small")
        assert await rooms.settle() == []
        rooms.waking.woke("dear")
        assert await rooms.settle() == ["d"]

    run(test)


def test_any_of_the_models_that_could_answer_wakes() -> None:
    async def test() -> None:
        rooms = Rooms()
        await rooms.ask("a", others=("big",))
        await rooms.ask("b")
        rooms.waking.woke("big")
        assert await rooms.settle() == ["a"]

    run(test)


def test_a_place_is_given_up_once() -> None:
    async def test() -> None:
        rooms = Rooms(most=1)
        await rooms.ask("a")
        rooms.places["a"].give_up("left", ParlanceError("gone"))
        rooms.waking.woke("small")
        rooms.places["a"].give_up("left", ParlanceError("gone"))
        assert await rooms.settle() == ["a"]
        assert (rooms.counted("left"), rooms.counted("woken")) == (1, 0)
        await rooms.ask("b")
        rooms.tasks[-1].cancel()
        await asyncio.gather(*rooms.tasks, return_exceptions=True)
        assert rooms.waking.held("small") == rooms.upstreams["small"].state.in_flight == 0
        await rooms.ask("c")
        assert rooms.waking.held("small") == 1

    run(test)


def test_time_is_up() -> None:
    async def test() -> None:
        rooms = Rooms(wait_s=0.01)
        await rooms.ask("a")
        await asyncio.gather(*rooms.tasks)
        ((_, error),) = rooms.log
        assert isinstance(error, Unavailable)
        assert error.retry_after_s == 5
        assert error.message == "no replica of small has started within 0.01 s"
        assert rooms.counted("timeout") == 1

    run(test)


def test_the_end_of_the_gateway_ends_waits_in_order_and_lets_none_in() -> None:
    async def test() -> None:
        rooms = Rooms()
        for name in "abc":
            await rooms.ask(name)
        rooms.waking.close()
        assert await rooms.settle() == ["a", "b", "c"]
        await rooms.ask("d")
        assert [(name, error.retry_after_s) for name, error in rooms.log if error] == [("d", 1)]
        assert rooms.counted("stopped") == 4

    run(test)


def test_a_full_room_says_when_a_place_is_free_at_the_latest() -> None:
    async def test() -> None:
        for wait_s, most in ((60.0, 60), (3600.0, 120)):
            rooms = Rooms(most=1, wait_s=wait_s)
            await rooms.ask("a")
            await rooms.ask("b")
            ((name, error),) = rooms.log
            assert name == "b"
            assert error is not None
            assert error.retry_after_s is not None
            assert most - 1 <= error.retry_after_s <= most

    run(test)


@given(st.integers(1, 6), st.lists(st.sampled_from("abc"), max_size=30))
def test_full_rooms_are_shared_by_those_who_ask(most: int, tenants: list[str]) -> None:
    """Never more than the bound; and as soon as all places are taken, a tenant that has asked for as many as its even
    share has them: nobody holds two more than one who was refused."""

    async def test() -> None:
        rooms = Rooms(most=most)
        for number, tenant in enumerate(tenants):
            await rooms.ask(f"{number}", tenant)
            await asyncio.sleep(0)
            room = list(rooms.waking.rooms["small"])
            assert len(room) <= most
            holds, asked = Counter(place.tenant for place in room), Counter(tenants[: number + 1])
            for one in asked:
                if holds[one] < asked[one]:  # one of its requests found no place
                    assert max(holds.values()) <= holds[one] + 1
        ended = len(rooms.log)
        held = rooms.waking.held("small")
        assert ended + held == len(tenants)
        rooms.waking.woke("small")
        await asyncio.gather(*rooms.tasks)
        assert rooms.upstreams["small"].state.in_flight == 0

    run(test)


@pytest.mark.parametrize(
    ("request_", "down", "wanted"),
    [
        ({"model": "small"}, ("small",), ("small", frozenset())),
        ({"model": "small"}, (), None),  # awake
        ({"model": "big"}, ("big",), None),  # it never sleeps: it is broken
        ({}, ("small", "dear"), None),  # `big` takes it
        ({}, ("big", "small", "dear"), ("small", frozenset({"big", "dear"}))),  # the cheapest that may wake
        ({"hints": Hints(models=("dear",))}, ("small", "dear"), ("dear", frozenset())),
        ({"hints": Hints(models=("big",))}, ("big", "small", "dear"), None),
        ({"hints": Hints(max_cost_usd=0.0)}, ("big", "small", "dear"), None),  # nothing that wakes could take it
        ({"model": "gone"}, ("big", "small", "dear"), None),
        ({"allowed_models": frozenset({"big"}), "model": "small"}, ("small",), None),
    ],
)
def test_what_a_request_waits_for(request_: dict[str, Any], down: tuple[str, ...], wanted: Any) -> None:
    async def test() -> None:
        rooms = Rooms()
        for name, upstream in rooms.upstreams.items():
            if name not in down:
                upstream.came_up()
        live: dict[str, ModelState] = {name: upstream.state for name, upstream in rooms.upstreams.items()}
        request = Request(**{"text": GERMAN, "characters": len(GERMAN), **request_})
        assert rooms.waking.wanted(decide(request, FLEET, live, 0.0)) == wanted

    run(test)
