"""Which model read which beginning of a conversation of late: what it may still have in its KV cache.

Of a conversation only a chain of 64-bit hashes is kept: each turn's extends that of the turns before it. Python's own
hash of strings is seeded by process, and a tenant never finds what another one wrote.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from serve.fleet.description import Model
from serve.fleet.gateway import Prefixes as Settings

# Turns from the end of a conversation that are looked up, and the first one: its system prompt.
TURNS = 12
_NOTHING: Mapping[str, int] = {}


class Prefix(NamedTuple):
    """A conversation up to one of its turns: a hash of all that, its characters, whether the turn is the model's."""

    digest: int
    characters: int
    answer: bool


def after_tools(chain: Sequence[Prefix], tools: bytes) -> tuple[Prefix, ...]:
    """The chain of a request with these tools: templates put them in front of everything."""
    if not tools:
        return tuple(chain)
    salt = hash(tools)
    return tuple(Prefix(hash((salt, one.digest)), one.characters + len(tools), one.answer) for one in chain)


class Prefixes:
    """The beginnings that were read of late, the newest kept. Times are seconds of one clock."""

    def __init__(self, settings: Settings, models: Sequence[Model]) -> None:
        self._entries = settings.entries
        self._expires_s = settings.expires_s
        # A replica that another turn went to does not have it: with n of them, one time in n.
        self._replicas = {
            model.id: max(model.engine.replicas.initial, 1) if model.engine is not None else 1 for model in models
        }
        self._read: OrderedDict[int, dict[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._read)

    def read(self, tenant: str, prefixes: Sequence[Prefix], model: str, now: float) -> None:
        """A model has answered a conversation: it has all of it, and its system prompt for other conversations."""
        if not prefixes or not self._entries:
            return
        for prefix in {prefixes[0], prefixes[-1]}:
            key = hash((tenant, prefix.digest))
            models = self._read.pop(key, None)
            if models is None:
                models = {}
                if len(self._read) >= self._entries:
                    self._read.popitem(last=False)
            models[model] = now
            self._read[key] = models

    def known(self, tenant: str, prefixes: Sequence[Prefix], now: float) -> Mapping[str, int]:
        """Characters at the beginning of a conversation that a model probably has, by model: the expectation over its
        replicas. The answer after a turn that was read is there too: the model wrote it."""
        if not prefixes or not self._read:
            return _NOTHING
        found: dict[str, int] = {}
        last = len(prefixes) - 1
        for at in (*range(last, max(last - TURNS, 0), -1), 0):
            models = self._read.get(hash((tenant, prefixes[at].digest)))
            if models is None:
                continue
            longest = prefixes[at + 1] if at < last and prefixes[at + 1].answer else prefixes[at]
            for model, seen in models.items():
                if model not in found and now - seen <= self._expires_s:
                    found[model] = longest.characters // self._replicas.get(model, 1)
        return found
