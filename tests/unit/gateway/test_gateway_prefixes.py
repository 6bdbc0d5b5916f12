"""What is remembered of conversations: the longest beginning that a model read, for its tenant, for a while."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fleet.gateway import Limits
from serve.fleet.gateway import Prefixes as Settings
from serve.fleet.loader import resolve
from serve.gateway.body import parse
from serve.gateway.prefixes import Prefix, Prefixes
from serve.routing.records import Endpoint

pytestmark = pytest.mark.unit

LIMITS = Limits()
MODELS = resolve(
    {
        "models": [
            {"use": "llama-3.3-70b-instruct", "id": "big", "upstream": {"base_url": "http://127.0.0.1:9"}},
            {
                "use": "suzume-llama-3-8b-multilingual",
                "id": "small",
                "engine": {"gpu": "L40S-48GB", "replicas": {"initial": 2, "max": 2}},
            },
        ],
        "clusters": {"a": {}},
    },
    "test",
).models

SYSTEM = {"role": "system", "content": "Du er ein hjelpsam assistent. " * 20}
FIRST = [SYSTEM, {"role": "user", "content": "Kva er ein fjord?"}]
SECOND = [
    *FIRST,
    {"role": "assistant", "content": "Ein trong arm av havet."},
    {"role": "user", "content": "Og ei vik?"},
]


def prefixes_of(messages: list[dict[str, Any]], **fields: Any) -> tuple[Prefix, ...]:
    body = json.dumps({"model": "auto", "messages": messages, **fields}).encode()
    return parse(body, Endpoint.CHAT, {}, LIMITS).prefixes


def size(messages: list[dict[str, Any]]) -> int:
    return sum(len(message["content"]) for message in messages)


def test_the_next_turn_finds_what_was_read_and_what_was_answered() -> None:
    memory = Prefixes(Settings(), MODELS)
    memory.read("acme", prefixes_of(FIRST), "big", 0)
    assert memory.known("acme", prefixes_of(SECOND), 10) == {"big": size(SECOND[:3])}
    assert memory.known("acme", prefixes_of(FIRST), 10) == {"big": size(FIRST)}


def test_another_conversation_shares_the_system_prompt_only() -> None:
    memory = Prefixes(Settings(), MODELS)
    memory.read("acme", prefixes_of(FIRST), "big", 0)
    assert memory.known("acme", prefixes_of([SYSTEM, {"role": "user", "content": "Hei"}]), 1) == {"big": size([SYSTEM])}
    assert memory.known("acme", prefixes_of([{"role": "user", "content": "Hei"}]), 1) == {}


def test_nothing_is_shared_between_tenants_tools_or_roles() -> None:
    memory = Prefixes(Settings(), MODELS)
    memory.read("acme", prefixes_of(FIRST), "big", 0)
    assert memory.known("other", prefixes_of(SECOND), 1) == {}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert memory.known("acme", prefixes_of(SECOND, tools=tools), 1) == {}
    assert memory.known("acme", prefixes_of([{**m, "role": "user"} for m in SECOND]), 1) == {}


def test_replicas_share_the_chance_and_time_ends_it() -> None:
    memory = Prefixes(Settings(expires_s=60), MODELS)
    memory.read("acme", prefixes_of(FIRST), "small", 0)
    assert memory.known("acme", prefixes_of(FIRST), 60) == {"small": size(FIRST) // 2}
    assert memory.known("acme", prefixes_of(FIRST), 61) == {}


def test_every_model_has_its_own_longest() -> None:
    memory = Prefixes(Settings(), MODELS)
    memory.read("acme", prefixes_of(FIRST), "big", 0)
    memory.read("acme", prefixes_of([SYSTEM, {"role": "user", "content": "x"}]), "small", 0)
    assert memory.known("acme", prefixes_of(SECOND), 1) == {"big": size(SECOND[:3]), "small": size([SYSTEM]) // 2}


def test_other_apis_have_prefixes_too() -> None:
    body = {"model": "auto", "max_tokens": 9, "system": "Svar kort.", "messages": [{"role": "user", "content": "Hei"}]}
    found = parse(json.dumps(body).encode(), Endpoint.MESSAGES, {}, LIMITS).prefixes
    assert [one.characters for one in found] == [10, 13]
    body = {"model": "auto", "prompt": "Det var ein gong"}
    assert parse(json.dumps(body).encode(), Endpoint.COMPLETIONS, {}, LIMITS).prefixes == ()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=60), st.integers(0, 7))
def test_memory_is_bounded(reads: list[tuple[int, int]], entries: int) -> None:
    memory = Prefixes(Settings(entries=entries), MODELS)
    for digest, tenant in reads:
        memory.read(str(tenant), (Prefix(0, 5, False), Prefix(digest, 10, False)), "big", 0)
        assert len(memory) <= entries + 1
        for found in memory.known(str(tenant), (Prefix(0, 5, False), Prefix(digest, 10, False)), 0).values():
            assert 0 <= found <= 10
