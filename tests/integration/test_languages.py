"""`auto` on the running stack: real sentences go where the description says, and every trace tells the same story."""

import collections
import json
import time
import urllib.request
from pathlib import Path

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.routing.log import parse

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


def test_forty_languages_tell_one_story(client, stack):
    """A prompt in each language: the header, the dry run, the decision log and the metrics say the same of it."""
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    first = {row["lang"]: row["text"] for row in rows}
    assert len(first) == 40
    before = requests_by_model_and_language(stack)
    seen = collections.Counter()
    stories = {}
    for lang, text in first.items():
        messages = [{"role": "user", "content": text}]
        planned = route(client, messages=messages, max_tokens=2)
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages, max_tokens=2)
        usage = raw.parse().usage
        stories[raw.headers["x-parlance-decision-id"]] = (lang, planned, raw.headers, usage)
        assert raw.headers["x-parlance-language"] == planned["language"]["tag"] == lang
        assert raw.headers["x-parlance-model"] == planned["model"]
        assert raw.headers["x-parlance-reason"] == planned["reason_code"]
        seen[planned["model"], lang] += 1
    logged = {entry.id: entry for entry in decision_log(stack, stories)}
    for decision_id, (lang, planned, _, usage) in stories.items():
        entry = logged[decision_id]
        assert (entry.language, entry.model, entry.reason) == (lang, planned["model"], planned["reason_code"])
        assert entry.answer == planned["language"]["answer"]
        assert entry.task == planned["task"]["name"]
        assert entry.outcome.model == planned["model"]
        assert entry.outcome.status == 200
        assert entry.outcome.prompt_tokens == usage.prompt_tokens
        assert entry.outcome.completion_tokens == usage.completion_tokens
        assert entry.outcome.nano_usd == round(usage.cost * 1e9)
        (chosen,) = [c for c in planned["candidates"] if c["model"] == planned["model"]]
        assert entry.cost_usd == pytest.approx(chosen["cost_usd"], rel=0.2)  # what is learnt in between moves it
        assert entry.text is None
    after = requests_by_model_and_language(stack)
    grown = {key: after[key] - before[key] for key in after if after[key] != before[key]}
    assert grown == dict(seen)


def requests_by_model_and_language(stack):
    with urllib.request.urlopen(f"{stack.admin_url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    counts = collections.Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "parlance_requests_total":
                counts[sample.labels["model"], sample.labels["language"]] += int(sample.value)
    return counts


def decision_log(stack, wanted):
    """The entries of these ids; the log is written a few times a second."""
    path = stack.store.root / "gateway" / "decisions.jsonl"
    deadline = time.monotonic() + 10
    while True:
        entries = [entry for line in path.read_bytes().splitlines() if (entry := parse(line)).id in wanted]
        if len(entries) == len(wanted) or time.monotonic() > deadline:
            return entries
        time.sleep(0.2)
