"""Request bodies: what is read from them, what the engine gets, and the words for what is wrong."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.errors import BadRequest
from serve.fleet.gateway import Limits
from serve.fleet.routing import Preset
from serve.gateway.body import parse
from serve.routing.records import Ability, Endpoint

pytestmark = pytest.mark.unit
LIMITS = Limits()


def chat(**fields) -> bytes:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Kva er fjord?"}], **fields}
    return json.dumps({k: v for k, v in body.items() if v is not ...}).encode()


def read(body: bytes, endpoint=Endpoint.CHAT, headers=None):
    return parse(body, endpoint, headers or {}, LIMITS)


def engine_sees(parsed) -> dict:
    return json.loads(parsed.engine_body("m", None))


def test_turns_are_told_apart():
    messages = [
        {"role": "system", "content": "Svar kort."},
        {"role": "user", "content": "Hei"},
        {"role": "assistant", "content": "Hallo!"},
        {"role": "user", "content": [{"type": "text", "text": "Kva er"}, {"type": "text", "text": "fjord?"}]},
    ]
    request = read(chat(messages=messages)).request
    assert request.text == "Kva er\nfjord?"
    assert request.earlier == ("Hei",)
    assert request.instructions == "Svar kort."
    assert request.characters == len("Svar kort.") + len("Hei") + len("Hallo!") + len("Kva er\nfjord?")
    assert request.needs == {Ability.SYSTEM_ROLE}


def test_values_reach_the_engine_as_the_client_wrote_them():
    body = b'{"model":"auto","messages":[{"role":"user","content":"x"}],"temperature":0.70,"seed":12345678901234567890}'
    out = read(body).engine_body("m", "salt")
    assert b'"temperature":0.70' in out
    assert b"12345678901234567890" in out
    assert json.loads(out)["cache_salt"] == "salt"


def test_hints_are_read_and_removed():
    hints = {"language": "nn", "quality_floor": "best", "max_cost_usd": 0.01, "models": ["a"], "session": "s"}
    parsed = read(chat(parlance=hints))
    assert parsed.request.hints.language == "nn"
    assert parsed.request.hints.quality_floor is Preset.BEST
    assert "parlance" not in engine_sees(parsed)


def test_headers_hint_where_the_body_is_silent():
    headers = {b"x-parlance-language": b"nb", b"x-parlance-quality-floor": b"-20", b"x-parlance-models": b"a, b"}
    hints = read(chat(), headers=headers).request.hints
    assert (hints.language, hints.quality_floor, hints.models) == ("nb", -20.0, ("a", "b"))


def test_usage_is_asked_of_the_engine_even_if_the_client_does_not():
    parsed = read(chat(stream=True))
    assert not parsed.include_usage
    assert engine_sees(parsed)["stream_options"] == {"include_usage": True}
    assert read(chat(stream=True, stream_options={"include_usage": True})).include_usage


def test_a_client_cannot_choose_its_cache_salt():
    with pytest.raises(BadRequest, match="cache_salt is not accepted"):
        read(chat(cache_salt="theirs"))


def test_the_smallest_cap_counts_and_choices_multiply():
    request = read(chat(max_tokens=50, max_completion_tokens=20, n=3)).request
    assert (request.max_output_tokens, request.choices) == (20, 3)


def test_completions_prompts_are_not_turns():
    body = json.dumps({"model": "auto", "prompt": ["Hei du", "Kva no?"]}).encode()
    request = read(body, Endpoint.COMPLETIONS).request
    assert (request.text, request.earlier, request.characters) == ("Kva no?", (), 13)
    tokens = json.dumps({"model": "auto", "prompt": [[1, 2, 3]]}).encode()
    assert read(tokens, Endpoint.COMPLETIONS).request.characters == 12


def test_responses_take_text_or_items():
    body = json.dumps({"model": "auto", "input": "Hei", "instructions": "Kort", "truncation": None}).encode()
    parsed = read(body, Endpoint.RESPONSES)
    assert (parsed.request.text, parsed.request.instructions) == ("Hei", "Kort")
    assert "truncation" not in engine_sees(parsed)
    items = [{"role": "user", "content": [{"type": "input_text", "text": "Hei"}]}]
    assert read(json.dumps({"model": "auto", "input": items}).encode(), Endpoint.RESPONSES).request.text == "Hei"


def test_messages_keep_their_system_prompt_apart():
    body = {"model": "auto", "max_tokens": 5, "system": [{"type": "text", "text": "Svar kort"}]}
    body["messages"] = [{"role": "user", "content": "Hei"}]
    request = read(json.dumps(body).encode(), Endpoint.MESSAGES).request
    assert (request.instructions, request.max_output_tokens) == ("Svar kort", 5)


WRONG = [
    (b"", None, "empty"),
    (b"{", None, "not valid JSON"),
    (b"[1]", None, "must be a JSON object"),
    (b'"x"', None, "must be a JSON object"),
    (b'{"a":NaN}', None, "not valid JSON"),
    (b'{"model":"\xff"}', None, "not UTF-8"),
    (b'{"model":' + b"[" * 200_000, None, "nested too deeply"),
    (b'{"model":"auto","messages":[],"seed":' + b"9" * 5000 + b"}", None, "more than 308 digits"),
    (chat(model=...), "model", "model is required"),
    (chat(model=3), "model", "expected `str`, got `int`"),
    (chat(messages=...), "messages", "messages is required"),
    (chat(messages=[]), "messages", "at least one"),
    (chat(messages={}), "messages", "expected `array`"),
    (chat(messages=[{"role": "user", "content": 3}]), "messages[0].content", "expected `str | array | null`"),
    (chat(messages=[{"content": "x"}]), "messages[0].role", "is required"),
    (
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://[::1]/"}}]}]),
        "messages[0].content[0].type",
        '"image_url" is not accepted',
    ),
    (b'{"model":"auto","messages":[{"role":"user","content":"\\ud800"}]}', None, "not valid"),
    (chat(stream="yes"), "stream", '"yes" is not true or false'),
    (chat(n=0), "n", "1 to 16 are allowed"),
    (chat(n=17), "n", "1 to 16 are allowed"),
    (chat(n=True), "n", "true is not an integer"),
    (chat(max_tokens=2**63), "max_tokens", "out of range"),
    (chat(max_tokens=0), "max_tokens", "out of range"),
    (chat(temperature="hot"), "temperature", '"hot" is not a number'),
    (chat(temperature=2.1), "temperature", "0 to 2 are allowed"),
    (chat(top_logprobs=21), "top_logprobs", "0 to 20 are allowed"),
    (chat(logprobs=3), "logprobs", "is not true or false"),
    (chat(stop=["x"] * 17), "stop", "at most 16"),
    (chat(stop=3), "stop", "not a string or an array"),
    (chat(stream_options={"include_usage": True}), "stream_options", "only allowed with stream"),
    (chat(chat_template="{{x}}"), "chat_template", "templates come with the model"),
    (chat(chat_template_kwargs={"chat_template": "x"}), "chat_template_kwargs.chat_template", "templates come"),
    (chat(vllm_xargs={}), "vllm_xargs", "is not accepted"),
    (chat(parlance={"lang": "nn"}), "parlance", "unknown field `lang`"),
    (chat(parlance={"language": "norsk"}), "parlance.language", "not a BCP-47 tag"),
    (chat(parlance={"quality_floor": "good"}), "parlance.quality_floor", "invalid"),
    (chat(parlance={"max_cost_usd": -1}), "parlance.max_cost_usd", "out of range"),
]


@pytest.mark.parametrize(("body", "param", "words"), WRONG, ids=[w[2][:30] for w in WRONG])
def test_what_is_wrong_is_named(body, param, words):
    with pytest.raises(BadRequest) as caught:
        read(body)
    assert words in caught.value.message
    if param is not None:
        assert caught.value.param == param


@pytest.mark.parametrize(("n", "fine"), [(1, True), (16, True), (17, False)])
def test_bounds_include_their_ends(n, fine):
    if fine:
        assert read(chat(n=n)).request.choices == n
    else:
        with pytest.raises(BadRequest):
            read(chat(n=n))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "model",
    "messages",
    "stream",
    "n",
    "stop",
    "parlance",
    "stream_options",
    "tools",
    "logprobs",
    "input",
    "prompt",
]


@given(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=6), st.sampled_from(list(Endpoint)))
def test_no_body_raises_anything_but_a_clear_error(fields, endpoint):
    with contextlib.suppress(BadRequest):  # anything else is a bug
        read(json.dumps(fields).encode(), endpoint)


@given(st.binary(max_size=200), st.sampled_from(list(Endpoint)))
def test_no_bytes_raise_anything_but_a_clear_error(body, endpoint):
    with contextlib.suppress(BadRequest):
        read(body, endpoint)


def test_digits_in_text_are_nobodys_business():
    assert read(chat(messages=[{"role": "user", "content": "3." + "1" * 5000}])).request.characters == 5002
