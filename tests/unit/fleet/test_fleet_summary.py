"""What a reader is told before a fleet starts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serve.fleet.loader import resolve
from serve.fleet.summary import summary

pytestmark = pytest.mark.unit

GEMMA: dict[str, Any] = {"use": "gemma-2-9b-it", "engine": {"gpu": "H100-SXM-80GB"}}
UPSTREAM: dict[str, Any] = {
    "use": "llama-3.3-70b-instruct",
    "upstream": {"base_url": "https://api.example.com", "api_key_env": "KEY"},
}


def told(*models: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return summary(resolve({"models": list(models), **fields}, "x"))


def test_it_is_plain_json() -> None:
    plain = told(GEMMA, UPSTREAM, aliases={"gpt-4o": "auto"})
    assert json.loads(json.dumps(plain)) == plain


def test_a_models_memory_is_told_both_ways() -> None:
    (model,) = told(GEMMA)["models"]
    held = model["engine"]["memory_per_worker"]
    assert held["weights_gib"] == 17.21
    assert (held["one_context_gib"], held["one_context_windowed_gib"]) == (2.62, 1.97)
    assert model["engine"]["kv_room_tokens"] > model["context_tokens"] == 8192
    assert model["base_url"] == "http://127.0.0.1:8000/gemma-2-9b-it"


def test_an_upstream_has_no_engine() -> None:
    (model,) = told(UPSTREAM)["models"]
    assert model["engine"] is None
    assert model["upstream"]["api_key_env"] == "KEY"
    assert model["base_url"] == "https://api.example.com"


@pytest.mark.parametrize(
    ("models", "fields", "said"),
    [
        ([GEMMA], {}, "gemma-2-9b-it: gated weights (Gemma Terms of Use)"),
        ([{**GEMMA, "use": "normistral-11b-thinking"}], {}, "its price is nobody's list price"),
        ([GEMMA], {"gateway": {"host": "0.0.0.0"}}, "without gateway.keys_file"),
        ([GEMMA], {"routing": {"quality_floor": 5}}, "asks for better than the reference"),
        ([{**GEMMA, "card": {"architecture": None}}], {}, "whether it fits was not checked"),
        ([{**GEMMA, "engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 10**9}}], {}, "write no language"),
    ],
)
def test_what_may_surprise_is_warned_of(models: list[dict[str, Any]], fields: dict[str, Any], said: str) -> None:
    assert any(said in warning for warning in told(*models, **fields)["warnings"])


def test_nothing_to_warn_of_is_nothing() -> None:
    assert told(UPSTREAM)["warnings"] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert told(UPSTREAM, gateway={"host": host})["warnings"] == []
