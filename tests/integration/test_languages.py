"""`auto` on the running stack: real sentences go where the description says, and every trace tells the same story."""

import json
from pathlib import Path

import openai
import pytest

pytestmark = pytest.mark.integration
SENTENCES = Path(__file__).parents[1] / "data" / "sentences.jsonl"

# What the laptop's fleet says: gemma is measured near the 70B in nb, nn and de; EuroLLM alone declares Maltese;
# Suzume was evaluated in Japanese; only the base model knows Northern Sami, and it cannot chat.
WHERE = {
    "nb": {"gemma-2-9b-it"},
    "nn": {"gemma-2-9b-it"},
    "de": {"gemma-2-9b-it"},
    "mt": {"eurollm-9b-instruct"},
    "ja": {"suzume-llama-3-8b-multilingual"},
    "th": {"llama-3.3-70b-instruct"},
    "se": {"llama-3.3-70b-instruct"},
}


def sentences(lang):
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows if row["lang"] == lang]


@pytest.fixture(scope="module")
def client(stack):
    return openai.OpenAI(base_url=f"{stack.gateway_url}/v1", api_key="unused", max_retries=0, timeout=120)


def route(client, **body):
    return client.post("/route", body={"model": "auto", **body}, cast_to=dict)


@pytest.mark.parametrize("lang", WHERE)
def test_a_sentence_goes_where_the_description_says(client, lang):
    for text in sentences(lang):
        messages = [{"role": "user", "content": text}]
        planned = route(client, messages=messages)
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages, max_tokens=4)
        assert raw.headers["x-parlance-language"] == lang == planned["language"]["tag"]
        assert raw.headers["x-parlance-model"] == planned["model"] == raw.parse().model
        assert planned["model"] in WHERE[lang], planned["reason"]
        print(f"{lang}: {planned['reason']}")


def test_northern_sami_says_that_nobody_speaks_it_well_enough(client):
    planned = route(client, messages=[{"role": "user", "content": sentences("se")[0]}])
    assert planned["fallback"] is True
    codes = {c["model"]: c["rejection"] for c in planned["candidates"]}
    assert codes["normistral-11b-long"] == "no_chat_template"
    assert codes["eurollm-9b-instruct"] == "language_not_covered"


def test_northern_sami_completions_may_go_to_the_base_model(client):
    planned = route(client, prompt=sentences("se")[0], max_tokens=4)
    assert planned["model"] == "normistral-11b-long", planned["reason"]


@pytest.mark.parametrize("lang", ["nb", "nn", "se", "en", "da", "sv"])
def test_chat_never_reaches_the_base_model(client, lang):
    for text in sentences(lang):
        planned = route(client, messages=[{"role": "user", "content": text}])
        assert planned["model"] != "normistral-11b-long"


def test_a_prompt_over_eurollms_context_goes_elsewhere(client):
    short = route(client, messages=[{"role": "user", "content": sentences("mt")[0]}])
    assert short["model"] == "eurollm-9b-instruct"
    long = " ".join(sentences("mt")) * 60
    messages = [{"role": "user", "content": long}]
    planned = route(client, messages=messages)
    assert planned["model"] != "eurollm-9b-instruct"
    assert {c["model"]: c["rejection"] for c in planned["candidates"]}["eurollm-9b-instruct"] == "context_too_small"
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages, max_tokens=2)
    assert raw.headers["x-parlance-model"] == planned["model"]
