"""Small fleets with every figure chosen here, so that a change of the catalogue changes no test of routing."""

from __future__ import annotations

from typing import Any

from serve.fleet.description import Fleet
from serve.fleet.loader import resolve


def entry(model_id: str, **over: Any) -> dict[str, Any]:
    """A model behind an external endpoint. `languages`, `quality`, `price`, `context`, `kind`, `roles`, `tools` are
    facts of its card; the rest is merged into the entry."""
    card: dict[str, Any] = {
        "title": model_id,
        "kind": over.pop("kind", "chat"),
        "licence": {"name": "test", "gated": False},
        "context_tokens": over.pop("context", 8192),
        "languages_declared": over.pop("languages", ["en"]),
        "tokenizer": over.pop("tokenizer", "llama3"),
        "quality": {tag: {"delta": delta, "status": "measured"} for tag, delta in over.pop("quality", {}).items()},
    }
    roles, tools = over.pop("roles", ["system", "user", "assistant"]), over.pop("tools", False)
    if card["kind"] != "base":
        card["template"] = {"roles": roles, "tools": tools}
    price = over.pop("price", (1.0, 2.0))
    return {
        "id": model_id,
        "card": card,
        "price": {"input_usd_per_mtok": price[0], "output_usd_per_mtok": price[1]},
        "upstream": {"base_url": "http://127.0.0.1:9", "completions": True},
        **over,
    }


def fleet(*entries: dict[str, Any], reference: str = "big", **routing: Any) -> Fleet:
    """A fleet of such entries."""
    return resolve({"models": list(entries), "routing": {"reference": reference, **routing}}, "test")


def nordic(**routing: Any) -> Fleet:
    """A dear reference, a cheap model good in German and Bokmål, one that only declares, a base model."""
    return fleet(
        entry("big", price=(10.0, 10.0), context=131072, languages=["en", "de"], tools=True, aliases=["large"]),
        entry("small", languages=["de", "no"], quality={"de": -8, "nb": -10, "nn": -20, "en": -5}, context=4096),
        entry("claims", languages=["mt", "de"], price=(0.5, 0.5), roles=["user", "assistant"]),
        entry("base", kind="base", languages=["nb", "se"], price=(0.1, 0.1), quality={"nb": -5}),
        **routing,
    )
