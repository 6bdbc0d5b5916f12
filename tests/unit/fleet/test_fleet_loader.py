"""From a file to a fleet: what is filled in, what is refused, and that all problems come at once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.errors import DescriptionError
from serve.fleet import EvidenceStatus, Fleet, load
from serve.fleet.loader import merged, resolve

pytestmark = pytest.mark.unit

H100 = "H100-SXM-80GB"
UPSTREAM = {"base_url": "https://api.example.com"}
OWN_CARD: dict[str, Any] = {
    "title": "House model",
    "licence": {"name": "MIT", "gated": False},
    "context_tokens": 1000,
    "languages_declared": ["nb"],
    "template": {},
    "tokenizer": "llama3",
}
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}


def entry(use: str = "eurollm-9b-instruct", **fields: Any) -> dict[str, Any]:
    return {"use": use, "engine": {"gpu": H100}} | fields


def fleet(*models: dict[str, Any], **fields: Any) -> Fleet:
    return resolve({"models": list(models), **fields}, "fleet.yaml")


def problems(*models: dict[str, Any], **fields: Any) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        fleet(*models, **fields)
    return [str(problem) for problem in caught.value.problems]


def test_a_catalogue_entry_is_filled_in() -> None:
    (model,) = fleet(entry()).models
    assert (model.id, model.context_tokens, model.cluster) == ("eurollm-9b-instruct", 4096, "local")
    assert model.price is model.card.price
    assert model.card.quality["nb"].status is EvidenceStatus.MEASURED


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    (model,) = fleet(entry(card={"licence": {"gated": False}}, engine={"gpu": H100, "max_model_len": 2048})).models
    assert (model.card.licence.name, model.card.licence.gated) == ("Apache-2.0", False)
    assert (model.context_tokens, model.card.context_tokens) == (2048, 4096)


def test_a_stated_figure_does_not_keep_the_catalogues_source() -> None:
    (model,) = fleet(entry(card={"quality": {"nb": {"delta": -3}}, "price": PRICE})).models
    assert model.card.quality["nb"].status is EvidenceStatus.OWN
    assert model.card.quality["nb"].source == "the fleet description"
    assert model.card.quality["nb"].low is None
    assert model.card.quality["da"].status is EvidenceStatus.MEASURED
    assert (model.price.status, model.price.input_usd_per_mtok) == ("own", 1)


def test_an_own_model_and_an_upstream() -> None:
    made = fleet({"id": "house", "card": OWN_CARD, "price": PRICE, "upstream": UPSTREAM})
    assert made.model("house").cluster is None
    assert made.base_url(made.model("house")) == "https://api.example.com"
    assert made.reference == "house"


def test_disabled_entries_are_as_if_they_did_not_stand_there() -> None:
    made = fleet(entry(), entry("gemma-2-9b-it", enabled=False, engine={"gpu": "nonsense"}))
    assert [model.id for model in made.models] == ["eurollm-9b-instruct"]
    assert problems(entry(enabled=False)) == ["models: at least one model must be enabled"]


def test_the_reference_is_the_largest_chat_model_unless_named() -> None:
    models = [entry(), entry("normistral-11b-long"), entry("eurollm-22b-instruct-2512")]
    assert fleet(*models).reference == "eurollm-22b-instruct-2512"
    assert fleet(*models, routing={"reference": "eurollm-9b-instruct"}).reference == "eurollm-9b-instruct"
    (said,) = problems(*models, routing={"reference": "normistral-11b-long"})
    assert said.startswith("routing.reference: 'normistral-11b-long': one of the chat models: eurollm-22b")


def test_names_resolve_to_ids() -> None:
    made = fleet(entry(aliases=["euro"]), aliases={"gpt-4o": "auto", "cheap": "eurollm-9b-instruct"})
    assert made.aliases == {
        "euro": "eurollm-9b-instruct",
        "gpt-4o": "auto",
        "cheap": "eurollm-9b-instruct",
        "utter-project/EuroLLM-9B-Instruct": "eurollm-9b-instruct",
    }


def test_a_hub_name_that_two_models_share_names_none() -> None:
    made = fleet(entry(), entry(id="second"))
    assert made.aliases == {}


def test_a_source_that_no_client_could_write_is_no_name() -> None:
    assert fleet(entry(card={"source": "./weights/eurollm"})).aliases == {}


@pytest.mark.parametrize(
    ("models", "fields", "said"),
    [
        ([entry(), entry()], {}, "models[1].id: 'eurollm-9b-instruct': is the id of models[0] too"),
        ([entry(aliases=["auto"])], {}, "models[0].aliases[0]: 'auto': is a model's id, and cannot be an alias"),
        ([entry(id="auto")], {}, "models[0].id: 'auto': is the name that lets Parlance choose"),
        ([entry(aliases=["x"]), entry(id="b", aliases=["x"])], {}, "models[1].aliases[0]: 'x': already stands for"),
        ([entry(aliases=["x"])], {"aliases": {"x": "auto"}}, "aliases.x: 'x': already stands for eurollm-9b-instruct"),
        ([entry()], {"aliases": {"x": "none"}}, "aliases.x: 'none': one of auto, eurollm-9b-instruct"),
        ([entry("gpt-5")], {}, "models[0].use: 'gpt-5': one of eurollm-22b-instruct-2512, eurollm-9b"),
        ([{"id": "x", "engine": {"gpu": H100}}], {}, "models[0]: give `use:` (a catalogue entry), or `id:`"),
        ([{"use": "gemma-2-9b-it"}], {}, "models[0]: give `engine:` (vLLM here) or `upstream:`"),
        ([entry(upstream=UPSTREAM)], {}, "models[0]: both `engine` and `upstream`: give one of them"),
        ([{"use": "gemma-2-9b-it", "upstream": UPSTREAM, "cluster": "a"}], {}, "models[0].cluster: 'a': an upstream"),
        ([entry(cluster="far")], {}, "models[0].cluster: 'far': one of clusters: local"),
        ([entry()], {"clusters": {"a": {}, "b": {}}}, "models[0].cluster: one of clusters: a, b"),
        ([entry()], {"clusters": {}}, "models[0].cluster: one of clusters: none is described"),
        ([{"id": "x", "card": OWN_CARD, "upstream": UPSTREAM}], {}, "models[0].price: x has no price in its card"),
        (
            [{"id": "x", "card": OWN_CARD, "price": PRICE, "engine": {"gpu": H100}}],
            {},
            "models[0].card.source: is required by engine.weights: hub",
        ),
        ([entry(engine={"gpu": H100, "tensor_parallel": 3})], {}, "models[0].engine.tensor_parallel: 3: must split"),
        ([entry()], {"gateway": {"port": 1, "admin_port": 1}}, "gateway: port and admin_port are both 1"),
        ([entry()], {"gateway": {"prt": 1}}, "gateway.prt: 1: no such field; known are: host, port, admin_host"),
        ([entry()], {"version": 2}, "version: 2: must be 1"),
        ([entry()], {"gateway": {"port": True}}, "gateway.port: True: a number; true and false are none"),
        ([entry(engine={"gpu": H100, "kv_cache_bytes": True})], {}, "kv_cache_bytes: True: a number; true and false"),
        ([entry()], {"routing": {"quality_floor": "good"}}, "'good': must be 'economy', 'balanced' or 'best', or a n"),
        ([entry()], {"routing": {"quality_floor": True}}, "routing.quality_floor: True: "),
        ([entry()], {"routing": {"prior": {"norsk": 1}}}, "routing.prior.norsk: 'norsk': a language tag such as nb"),
        ([entry(card={"kind": "base"})], {}, "models[0].card: template must be given for chat"),
        ([entry(card={"quality": {"nb": {"delta": 3, "low": 5}}})], {}, "low (5.0) must not exceed delta (3.0)"),
        ([entry(engine={"gpu": H100, "env": {"A B": "1"}})], {}, "models[0].engine.env.A B"),
        ([entry(engine={"gpu": H100, "flags": {"max_model_len": 1}})], {}, "write the flag as vLLM's help does"),
        ([entry(engine={"gpu": H100, "flags": {"dtype": "half"}})], {}, "'dtype' follows from engine.dtype"),
    ],
)
def test_what_is_refused(models: list[dict[str, Any]], fields: dict[str, Any], said: str) -> None:
    found = problems(*models, **fields)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize("raw", [None, [], "x", 3, {}])
def test_other_top_levels_are_refused(raw: Any) -> None:
    with pytest.raises(DescriptionError, match=r"models"):
        resolve(raw, "fleet.yaml")


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        entry(engine={"gpu": H100, "replicas": {"min": 3}}, card={"kind": "chatty"}),
        entry("gpt-5"),
        entry("gemma-2-9b-it", engine={"gpu": "L4-24GB"}, cluster="far"),
        entry("llama-3.3-70b-instruct", card={"context_tokens": 0}, engine=None),
        routing={"min_confidence": 2, "reference": "nobody"},
        aliases={"x": "nothing", "y": "gpt-5", "z z": "auto"},
        gateway={"port": 0},
    )
    starts = [
        "models[0].engine.replicas: initial (1) must lie between min (3) and max (1)",
        "models[0].card.kind: 'chatty'",
        "models[1].use: 'gpt-5'",
        "models[2].cluster: 'far'",
        "models[2].engine: 1x L4-24GB: Gemma 2 9B IT has 17.2 GiB of weights",
        "models[3].card.context_tokens: 0",
        "models[3]: give `engine:`",
        "routing.min_confidence: 2",
        "routing.reference: 'nobody'",
        "aliases.z z: 'z z'",
        "aliases.x: 'nothing'",
        "gateway.port: 0",
    ]
    assert len(found) == len(starts), found
    for said, start in zip(found, starts, strict=True):
        assert said.startswith(start)


def test_a_name_of_a_broken_entry_is_no_second_problem() -> None:
    broken = entry("gemma-2-9b-it", aliases=["small"], engine={"gpu": H100, "typo": 1})
    found = problems(broken, aliases={"x": "gemma-2-9b-it"}, routing={"reference": "gemma-2-9b-it"})
    assert len(found) == 1
    assert found[0].startswith("models[0].engine.typo: 1: no such field; known are: device, gpu,")


def test_secrets_are_not_repeated() -> None:
    found = "\n".join(
        problems(
            entry(api_key="sk-very-secret", engine={"gpu": H100, "env": {"HF_TOKEN": 123456789}}),
            {"use": "gemma-2-9b-it", "upstream": {"base_url": "https://me:pass-word@host", "api_key": "sk-other"}},
            {"use": "gemma-2-9b-it", "upstream": [{"api_key": "sk-listed"}]},
        )
    )
    assert "(not shown)" in found
    for secret in ("very-secret", "123456789", "pass-word", "sk-other", "sk-listed"):
        assert secret not in found


def test_keys_are_found_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "models: [{use: gemma-2-9b-it, engine: {gpu: H100-SXM-80GB}}]\ngateway: {keys_file: secrets/keys.yaml}\n"
    )
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "fleet.yaml", "fleet.yaml"):
        assert load(path).gateway.keys_file == str(tmp_path / "secrets" / "keys.yaml")
    (tmp_path / "fleet.yaml").write_text(
        "models: [{use: gemma-2-9b-it, engine: {gpu: H100-SXM-80GB}}]\ngateway: {keys_file: /etc/keys.yaml}\n"
    )
    assert load("fleet.yaml").gateway.keys_file == "/etc/keys.yaml"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
PLACES: list[tuple[str | int, ...]] = [
    ("models",),
    ("models", 0),
    ("models", 0, "use"),
    ("models", 0, "id"),
    ("models", 0, "aliases"),
    ("models", 0, "card"),
    ("models", 0, "card", "quality"),
    ("models", 0, "card", "architecture"),
    ("models", 0, "card", "price"),
    ("models", 0, "price"),
    ("models", 0, "engine"),
    ("models", 0, "engine", "flags"),
    ("models", 0, "engine", "env"),
    ("models", 0, "engine", "replicas"),
    ("models", 0, "cluster"),
    ("models", 0, "upstream"),
    ("clusters",),
    ("gateway",),
    ("gateway", "limits"),
    ("routing",),
    ("routing", "prior"),
    ("aliases",),
    ("name",),
    ("extra",),
]


@given(place=st.sampled_from(PLACES), value=JSON)
def test_anything_anywhere_is_a_fleet_or_a_description_error(place: tuple[str | int, ...], value: Any) -> None:
    raw: dict[str, Any] = {"models": [entry(card={}), entry("gemma-2-9b-it")], "gateway": {}, "routing": {}}
    here: Any = raw
    for part in place[:-1]:
        here = here[part]
    here[place[-1]] = value
    try:
        made = resolve(raw, "x")
    except DescriptionError as error:
        assert str(error)  # noqa: PT017 - either outcome is right; anything else is not
    else:
        assert made.models


@given(base=st.dictionaries(st.text(max_size=3), JSON, max_size=4), over=st.dictionaries(st.text(max_size=3), JSON))
def test_merging_keeps_the_base_and_takes_what_is_over_it(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy(base)
    made = merged(base, over)
    assert set(made) == set(base) | set(over)
    assert repr(base) == repr(before)
    assert all(made[key] is value for key, value in over.items() if not isinstance(value, dict))
