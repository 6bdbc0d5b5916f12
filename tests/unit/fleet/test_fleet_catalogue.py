"""The shipped catalogue: every entry is valid, sourced, and agrees with itself."""

from __future__ import annotations

import pytest

from serve.fleet import catalogue
from serve.fleet.card import Architecture, EvidenceStatus, Kind, ModelCard, Role

pytestmark = pytest.mark.unit

NAMES = (
    "eurollm-22b-instruct-2512",
    "eurollm-9b-instruct",
    "gemma-2-9b-it",
    "llama-3.3-70b-instruct",
    "normistral-11b-long",
    "normistral-11b-thinking",
    "suzume-llama-3-8b-multilingual",
)


def card(name: str) -> ModelCard:
    return ModelCard.model_validate(catalogue.raw(name))


def parameters(arch: Architecture) -> int:
    """Parameters of a decoder with gated feed-forward, grouped-query attention and RMS norms, from its shape."""
    norms = 4 if arch.class_name == "Gemma2ForCausalLM" else 2
    attention = 2 * arch.hidden * arch.head_dim * (arch.heads + arch.kv_heads)
    layer = attention + 3 * arch.hidden * arch.ffn + norms * arch.hidden
    tables = 1 if arch.tied_embeddings else 2
    return arch.layers * layer + tables * arch.vocab * arch.hidden + arch.hidden


def test_the_models_that_the_issue_names_are_there() -> None:
    assert catalogue.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_count_follows_from_the_shape(name: str) -> None:
    arch = card(name).architecture
    assert arch is not None
    assert arch.parameters == parameters(arch)


@pytest.mark.parametrize("name", NAMES)
def test_every_stated_field_has_a_source(name: str) -> None:
    raw = catalogue.raw(name)
    own_words = {"title", "source", "kind", "notes", "sources", "successor", "quality"}
    assert {field for field in raw if field not in own_words} <= set(raw["sources"])
    price = card(name).price
    assert price is not None
    assert price.date
    assert len(price.source) > 40
    assert {field.split(".")[0] for field in raw["sources"]} <= set(ModelCard.model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_successors_exist(name: str) -> None:
    successor = card(name).successor
    assert successor is None or successor in NAMES


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("eurollm-9b-instruct", 172_032),
        ("gemma-2-9b-it", 344_064),
        ("normistral-11b-long", 163_840),
        ("suzume-llama-3-8b-multilingual", 131_072),
        ("llama-3.3-70b-instruct", 327_680),
    ],
)
def test_memory_per_token_is_the_published_figure(name: str, bytes_per_token: int) -> None:
    arch = card(name).architecture
    assert arch is not None
    assert arch.kv_bytes_per_token() == bytes_per_token


def test_limits_that_have_bitten() -> None:
    assert Role.SYSTEM not in card("gemma-2-9b-it").template.roles  # type: ignore[union-attr]
    assert card("eurollm-9b-instruct").context_tokens == 4096
    assert "no" in card("eurollm-9b-instruct").languages_declared
    assert card("normistral-11b-long").kind is Kind.BASE
    assert not card("normistral-11b-long").chats
    assert card("normistral-11b-thinking").context_tokens == 32_768
    assert 128_009 in card("suzume-llama-3-8b-multilingual").template.stop_token_ids  # type: ignore[union-attr]
    assert card("llama-3.3-70b-instruct").template.tools  # type: ignore[union-attr]


def test_quality_is_evidence_or_absent_never_a_default() -> None:
    gemma = card("gemma-2-9b-it").quality
    assert gemma["nb"].delta == -9.7
    assert gemma["nb"].status is EvidenceStatus.MEASURED
    assert gemma["fo"].status is EvidenceStatus.PARTIAL
    assert "ja" not in gemma  # arena votes only
    assert all(q.status is EvidenceStatus.PROXY for q in card("suzume-llama-3-8b-multilingual").quality.values())
    assert not card("llama-3.3-70b-instruct").quality  # the reference itself
    assert not card("eurollm-22b-instruct-2512").quality


def test_what_a_caller_changes_stays_the_callers() -> None:
    catalogue.raw("gemma-2-9b-it")["quality"]["nb"]["delta"] = 50
    assert card("gemma-2-9b-it").quality["nb"].delta == -9.7


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        catalogue.raw("../../loader")
