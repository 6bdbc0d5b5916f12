"""Where requests wait for a model without a replica: a bounded room a model, first come first served, fair to tenants.

Only for models that may sleep (`engine.replicas.min: 0`). A request that is held counts as in flight at the model,
which is what makes the autoscaler start a replica.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from math import ceil
from time import perf_counter

from serve.errors import ParlanceError, Unavailable
from serve.fleet.gateway import Waking as Settings
from serve.gateway.instruments import Instruments
from serve.gateway.instruments.bounds import DISPLACED, FULL, STOPPED, TIMEOUT, WOKEN
from serve.gateway.upstream import Upstream
from serve.routing import policy
from serve.routing.records import NOT_UP, Decision, Mode

# After this a client may ask again: a replica takes a minute or so, and the next request is held in its turn.
RETRY_AFTER_S = 5
# A gateway that stops is replaced, or others stand beside it.
RETRY_ELSEWHERE_S = 1
LONGEST_RETRY_S = 120

_LATER = (policy.UNHEALTHY, policy.NO_CAPACITY)


class Place:
    """One request that is held. `others` are models that could answer it too, if they came up."""

    __slots__ = ("model", "others", "outcome", "over", "tenant", "until")

    def __init__(self, model: str, tenant: str, others: frozenset[str], until: float) -> None:
        self.model = model
        self.tenant = tenant
        self.others = others
        self.until = until
        self.outcome = STOPPED  # unless something else ends it first
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        """Whether it is still held."""
        return not self.over.done()

    def woken(self) -> None:
        """A replica is there."""
        if self.open:
            self.outcome = WOKEN
            self.over.set_result(None)

    def give_up(self, outcome: str, error: ParlanceError) -> None:
        """It is held no longer."""
        if self.open:
            self.outcome = outcome
            self.over.set_exception(error)


class Waking:
    """The rooms of one worker. `rooms` has the models that may sleep; their requests in order of arrival."""

    def __init__(
        self, upstreams: Mapping[str, Upstream], reference: str, settings: Settings, instruments: Instruments
    ) -> None:
        self._reference = reference
        self._settings = settings
        self._upstreams = upstreams
        self._show = instruments
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._total = 0
        self.rooms: dict[str, dict[Place, None]] = {
            model_id: {} for model_id, upstream in upstreams.items() if upstream.model.sleeps
        }

    def held(self, model: str) -> int:
        """Requests that are held for a model."""
        return len(self.rooms[model])

    def holds(self, model: str) -> bool:
        """Whether requests for a model are held at all."""
        return model in self.rooms and self._settings.max_requests > 0

    def deadline(self) -> float:
        """Until when a request that begins to wait now may be held, in the loop's time."""
        return self._loop.time() + self._settings.max_wait_s

    def wanted(self, decision: Decision) -> tuple[str, frozenset[str]] | None:
        """The sleeping model that a request is to wait for, with others that could answer it; None: it need not wait,
        or nothing that it could wait for will wake."""
        if decision.mode is not Mode.AUTO:
            model = decision.model
            asleep = model is not None and self.holds(model) and not self._upstreams[model].state.healthy
            return (model, frozenset()) if asleep and model is not None else None
        if decision.model is not None or decision.reason_code not in _LATER:
            return None
        able = [one for one in decision.candidates if one.rejection in NOT_UP]
        if not able:  # the reference would have stood in
            able = [one for one in decision.candidates if one.model == self._reference]
        sleeping = [one for one in able if self.holds(one.model)]
        if not sleeping:
            return None
        model = min(sleeping, key=lambda one: (one.cost_usd, one.model)).model
        return model, frozenset(one.model for one in able) - {model}

    async def wait(
        self, model: str, tenant: str, until: float, others: frozenset[str], entered: Callable[[Place], None]
    ) -> None:
        """Returns when a replica of the model, or of one of the others, is there.

        `until` is the loop's time; `entered` gets the place as soon as there is one, so that a client that leaves can
        give it up. Raises Unavailable where there is no place, or time is up.
        """
        place = Place(model, tenant, others, until)
        self._enter(place)
        room, state, began = self.rooms[model], self._upstreams[model].state, perf_counter()
        state.in_flight += 1
        self._total += 1
        entered(place)
        try:
            async with asyncio.timeout_at(until):
                await place.over
        except TimeoutError:
            place.outcome = TIMEOUT
            raise Unavailable(
                f"no replica of {model} has started within {self._settings.max_wait_s:g} s",
                retry_after_s=RETRY_AFTER_S,
            ) from None
        finally:
            room.pop(place, None)
            state.in_flight -= 1
            self._total -= 1
            self._show.waking_ended.add((model, place.outcome))
            self._show.waking_wait.child((model,)).observe(perf_counter() - began)

    def _enter(self, place: Place) -> None:
        """Gives the request a place, perhaps that of a tenant that has more of them. Raises Unavailable."""
        if self._closed:
            self._refused(place, STOPPED, "the gateway is stopping", RETRY_ELSEWHERE_S)
        room = self.rooms[place.model]
        if len(room) >= self._settings.max_requests:
            counts = Counter(one.tenant for one in room)
            tenant, most = counts.most_common(1)[0]
            if most < counts[place.tenant] + 2:
                left_s = ceil(next(iter(room)).until - self._loop.time())
                words = f"{len(room)} requests wait for {place.model} to start, and no more may"
                self._refused(place, FULL, words, min(max(left_s, 1), LONGEST_RETRY_S))
            newest = next(one for one in reversed(room) if one.tenant == tenant)
            del room[newest]
            words = f"many of your requests wait for {place.model} to start, and another tenant's came"
            newest.give_up(DISPLACED, Unavailable(words, retry_after_s=RETRY_AFTER_S))
        room[place] = None

    def _refused(self, place: Place, outcome: str, words: str, retry_after_s: int) -> None:
        self._show.waking_ended.add((place.model, outcome))
        raise Unavailable(words, retry_after_s=retry_after_s)

    def woke(self, model: str) -> None:
        """A probe of the model was answered: whoever waits for it may go, in order of arrival."""
        if not self._total:
            return
        for waited_for, room in self.rooms.items():
            for place in room:
                if waited_for == model or model in place.others:
                    place.woken()

    def close(self) -> None:
        """The gateway stops: those that wait are told so, in order of arrival, and no more are held."""
        self._closed = True
        for room in self.rooms.values():
            for place in room:
                place.give_up(STOPPED, Unavailable("the gateway is stopping", retry_after_s=RETRY_ELSEWHERE_S))
