"""Tiny models: the true shape in small, a tokenizer of their own, the family's turns; the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from serve.engines.tiny import build, directory
from serve.engines.tiny.recipe import recipe
from serve.errors import LocalError
from serve.fleet import Model, Role, catalogue
from serve.fleet.loader import resolve
from serve.fleet.tiny import HEADS, KV_HEADS, LAYERS, VOCAB

pytestmark = pytest.mark.unit

ENGINE = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}


def model(name: str, **entry) -> Model:
    return resolve({"models": [{"use": name, "engine": ENGINE, **entry}]}, "test").models[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def read(path: Path, name: str) -> dict:
    return json.loads((path / name).read_text(encoding="utf-8"))


class TemplateError(Exception):
    pass


def render(path: Path, messages: list[dict], **more) -> str:
    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = refuse
    tokens = read(path, "tokenizer_config.json")
    return environment.from_string((path / "chat_template.jinja").read_text()).render(
        messages=messages,
        bos_token=tokens["bos_token"],
        eos_token=tokens["eos_token"],
        add_generation_prompt=True,
        **more,
    )


@pytest.mark.parametrize("name", catalogue.names())
def test_every_catalogue_model_has_a_tiny_one_of_its_class(name: str, root: Path) -> None:
    wanted = model(name)
    path = build(wanted, root)
    assert path == directory(wanted, root)
    config = read(path, "config.json")
    assert config["architectures"] == [wanted.card.architecture.class_name]
    assert config["max_position_embeddings"] == wanted.card.context_tokens
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (HEADS, KV_HEADS)
    tensors = load_file(path / "model.safetensors")
    assert len({key.split(".")[2] for key in tensors if ".layers." in key}) == LAYERS
    assert ("lm_head.weight" in tensors) != config["tie_word_embeddings"]
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == VOCAB == config["vocab_size"]
    text = "Kva er ein fjord? 駅はどこですか。 🦊"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert (path / "chat_template.jinja").exists() == wanted.card.chats


@pytest.mark.parametrize("name", [n for n in catalogue.names() if n != "normistral-11b-long"])
def test_templates_accept_the_card_s_roles_and_no_system_role_that_it_lacks(name: str, root: Path) -> None:
    wanted = model(name)
    path = build(wanted, root)
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hei"}]
    assert wanted.card.template is not None
    if Role.SYSTEM in wanted.card.template.roles:
        assert "Be brief." in render(path, system)
    else:
        with pytest.raises(TemplateError, match="System role"):
            render(path, system)
    turns = [
        {"role": "user", "content": "Hei"},
        {"role": "assistant", "content": "Hallo"},
        {"role": "user", "content": [{"type": "text", "text": "Takk"}]},
    ]
    text = render(path, turns)
    assert text.index("Hei") < text.index("Hallo") < text.index("Takk")


def test_llama_renders_tools_and_their_results(root: Path) -> None:
    path = build(model("llama-3.3-70b-instruct"), root)
    call = {"function": {"name": "paint", "arguments": {"colour": "blå"}}}
    text = render(
        path,
        [
            {"role": "user", "content": "Mal"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "ok"},
        ],
        tools=[{"type": "function", "function": {"name": "paint"}}],
    )
    assert '"name": "paint"' in text
    assert '{"name": "paint", "parameters": {"colour": "blå"}}<|eot_id|>' in text
    assert "ipython<|end_header_id|>\n\nok<|eot_id|>" in text
    assert text.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")


def test_the_end_of_a_turn_ends_the_answer(root: Path) -> None:
    path = build(model("suzume-llama-3-8b-multilingual"), root)
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    stops = read(path, "generation_config.json")["eos_token_id"]
    assert tokenizer.token_to_id("<|eot_id|>") in stops
    assert tokenizer.token_to_id("<|end_of_text|>") in stops
    # The real model's trap: config.json knows the end of the text only.
    assert read(path, "config.json")["eos_token_id"] == tokenizer.token_to_id("<|end_of_text|>")


def test_special_tokens_are_never_the_likeliest(root: Path) -> None:
    path = build(model("llama-3.3-70b-instruct"), root)
    specials = len([t for t in read(path, "tokenizer.json")["added_tokens"] if t["special"]])
    head = load_file(path / "model.safetensors")["lm_head.weight"]
    assert specials >= 6
    assert not head[:specials].any()
    assert head[specials:].any(axis=1).all()


def digest(path: Path) -> str:
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


def test_the_same_id_gives_the_same_bytes_and_another_id_others(tmp_path: Path) -> None:
    one = build(model("gemma-2-9b-it"), tmp_path / "a")
    two = build(model("gemma-2-9b-it"), tmp_path / "b")
    other = build(model("gemma-2-9b-it", id="gemma-copy"), tmp_path / "c")
    assert digest(one) == digest(two) != digest(other)


def test_a_changed_recipe_replaces_the_old_model(tmp_path: Path) -> None:
    before = build(model("gemma-2-9b-it"), tmp_path)
    after = build(model("gemma-2-9b-it", card={"context_tokens": 4096}), tmp_path)
    assert before != after
    assert not before.exists()
    assert [path.name for path in tmp_path.iterdir()] == [after.name]


def test_a_declared_language_takes_fewer_tokens(root: Path) -> None:
    """NorMistral declares Norwegian and not Thai; Llama the other way round."""
    norwegian = "Skriv en kort fortelling om en fisker som finner et brev i en flaske, og forklar hva det står."
    names = ("normistral-11b-long", "llama-3.3-70b-instruct")
    tokenizers = [Tokenizer.from_file(str(build(model(name), root) / "tokenizer.json")) for name in names]
    own, foreign = (len(t.encode(norwegian).ids) for t in tokenizers)
    assert own < foreign


def test_an_unknown_architecture_is_one_sentence() -> None:
    known = model("gemma-2-9b-it")
    strange = known.card.architecture.model_copy(update={"class_name": "MambaForCausalLM"})
    with pytest.raises(LocalError, match="MambaForCausalLM"):
        recipe(known.model_copy(update={"card": known.card.model_copy(update={"architecture": strange})}))
