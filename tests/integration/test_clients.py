"""The official clients against the whole stack: every endpoint and parameter, on the tensor parallel model."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import anthropic
import openai
import pytest

pytestmark = pytest.mark.integration

TP2 = "llama-3.3-70b-instruct"
ASK = [{"role": "user", "content": "Kva er ein fjord?"}]
NODE = Path(__file__).with_name("node")
COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["blå"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "paint", "description": "Paints.", "parameters": COLOUR}}


@pytest.fixture(scope="module")
def client(stack):
    return openai.OpenAI(base_url=f"{stack.gateway_url}/v1", api_key="unused", max_retries=0, timeout=120)


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.loads(response.read())


def test_models_are_listed_and_found(client, stack):
    ids = {m.id for m in client.models.list()}
    assert ids == {"auto", *(m.id for m in stack.fleet.models)}
    assert client.models.retrieve(TP2).id == TP2
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nope")
    assert caught.value.code == "model_not_found"


def test_chat(client):
    raw = client.chat.completions.with_raw_response.create(model=TP2, messages=ASK, max_tokens=12, temperature=0)
    assert raw.headers["x-parlance-model"] == TP2
    answer = raw.parse()
    assert answer.model == TP2
    assert answer.choices[0].finish_reason in ("length", "stop")
    assert 0 < answer.usage.completion_tokens <= 12
    assert answer.usage.cost > 0


def test_chat_stream_equals_the_whole_answer_and_states_the_cost(client):
    settings = {"model": TP2, "messages": ASK, "max_tokens": 24, "temperature": 0}
    whole = client.chat.completions.create(**settings).choices[0].message.content
    chunks = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[-1].usage.cost > 0
    assert chunks[-1].usage.completion_tokens <= 24
    silent = list(client.chat.completions.create(**settings, stream=True))
    assert all(c.choices for c in silent), "a client that did not ask for usage must not get its chunk"


def test_sampling_parameters_reach_the_engine(client):
    extra = {"min_p": 0.05, "top_k": 5, "repetition_penalty": 1.2}
    settings = {"model": TP2, "messages": ASK, "max_tokens": 16, "seed": 7, "temperature": 0.9}
    one = client.chat.completions.create(**settings, extra_body=extra).choices[0].message.content
    two = client.chat.completions.create(**settings, extra_body=extra).choices[0].message.content
    assert one == two
    greedy = client.chat.completions.create(**settings, extra_body={"top_k": 1}).choices[0].message.content
    best = client.chat.completions.create(**(settings | {"temperature": 0})).choices[0].message.content
    assert greedy == best
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**settings, extra_body={"top_k": -5})
    assert caught.value.param == "top_k"


def test_logprobs_and_choices(client):
    answer = client.chat.completions.create(
        model=TP2, messages=ASK, max_tokens=4, logprobs=True, top_logprobs=2, n=2, temperature=0.8
    )
    assert len(answer.choices) == 2
    for choice in answer.choices:
        assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in choice.logprobs.content)


def test_response_format_holds(client):
    schema = {"name": "colour", "schema": COLOUR, "strict": True}
    answer = client.chat.completions.create(
        model=TP2,
        messages=ASK,
        max_tokens=60,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    assert json.loads(answer.choices[0].message.content) == {"colour": "blå"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_named_tool_is_called(client, stream):
    settings = {
        "model": TP2,
        "messages": ASK,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "paint"}},
        "max_tokens": 60,
        "temperature": 0,
    }
    if stream:
        calls = [
            call
            for chunk in client.chat.completions.create(**settings, stream=True)
            for call in chunk.choices[0].delta.tool_calls or ()
        ]
        name = next(c.function.name for c in calls if c.function.name)
        arguments = "".join(c.function.arguments or "" for c in calls)
    else:
        call = client.chat.completions.create(**settings).choices[0].message.tool_calls[0]
        name, arguments = call.function.name, call.function.arguments
    assert name == "paint"
    assert json.loads(arguments) == {"colour": "blå"}


def test_tools_may_be_offered_and_their_results_given_back(client):
    call = {"id": "c1", "type": "function", "function": {"name": "paint", "arguments": '{"colour":"blå"}'}}
    messages = [
        *ASK,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]
    answer = client.chat.completions.create(model=TP2, messages=messages, tools=[TOOL], max_tokens=8)
    assert answer.usage.completion_tokens > 0


def test_completions(client):
    settings = {"model": TP2, "prompt": "Fjorden er", "max_tokens": 12, "temperature": 0}
    whole = client.completions.create(**settings, logprobs=2)
    assert whole.choices[0].logprobs.tokens
    assert whole.usage.cost > 0
    streamed = "".join(c.choices[0].text for c in client.completions.create(**settings, stream=True) if c.choices)
    assert streamed == whole.choices[0].text


def test_the_base_model_completes_and_never_chats(client):
    base = "normistral-11b-long"
    assert client.completions.create(model=base, prompt="Fjorden er", max_tokens=4).usage.completion_tokens > 0
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=base, messages=ASK, max_tokens=4)
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="nope", prompt="x")


def test_responses(client):
    settings = {"model": TP2, "input": "Kva er ein fjord?", "max_output_tokens": 12, "temperature": 0}
    whole = client.responses.create(**settings)
    assert whole.output_text
    assert whole.usage.cost > 0
    events = list(client.responses.create(**settings, stream=True))
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text
    assert events[-1].response.usage.cost > 0


def test_messages(stack):
    client = anthropic.Anthropic(base_url=stack.gateway_url, api_key="unused", max_retries=0, timeout=120)
    settings = {"model": TP2, "max_tokens": 12, "messages": ASK, "extra_body": {"temperature": 0}}
    whole = client.messages.create(**settings, system="Svar kort.")
    assert whole.content[0].text
    assert whole.usage.output_tokens <= 12
    with client.messages.stream(**settings, system="Svar kort.") as stream:
        assert "".join(stream.text_stream) == whole.content[0].text
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**(settings | {"max_tokens": 0}))
    assert caught.value.body["error"]["type"] == "invalid_request_error"


def test_engine_errors_arrive_in_openais_shape(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="eurollm-9b-instruct", prompt="fjord " * 9000, max_tokens=4)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("prompt", ["Kva er ein fjord?", "En gang var det", "Was ist ein Fjord?", "ฟยอร์ดคืออะไร"])
def test_greedy_text_is_the_same_through_the_gateway_and_through_haproxy(stack, prompt):
    body = {"model": TP2, "prompt": prompt, "max_tokens": 32, "temperature": 0}
    through = post(f"{stack.gateway_url}/v1/completions", body)["choices"][0]["text"]
    direct = post(f"{stack.serve_url}/{TP2}/v1/completions", body)["choices"][0]["text"]
    assert through == direct


def test_another_tenants_prompt_is_no_cache_hit_and_the_own_one_is(client, stack):
    prompt = "Ein lang tekst om fjordar i Noreg. " * 20
    settings = {"model": TP2, "prompt": prompt, "max_tokens": 2}
    client.completions.create(**settings)
    again = client.completions.create(**settings)
    assert again.usage.prompt_tokens_details.cached_tokens > 0
    direct = post(f"{stack.serve_url}/{TP2}/v1/completions", {**settings, "cache_salt": "another-tenant"})
    assert not (direct["usage"]["prompt_tokens_details"] or {}).get("cached_tokens")


def test_the_node_client(stack):
    if shutil.which("node") is None or not (NODE / "node_modules").is_dir():
        pytest.skip("the Node client's tests need node and npm: install them and run `make setup` again")
    environment = {**os.environ, "OPENAI_BASE_URL": f"{stack.gateway_url}/v1", "OPENAI_API_KEY": "unused"}
    done = subprocess.run(
        ["node", "--test", "client.test.mjs"], cwd=NODE, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
