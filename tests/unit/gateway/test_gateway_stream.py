"""The stream editor: any chunking gives the same bytes; usage, cost and errors are found, all else is left alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.gateway.stream import StreamEditor, Usage, edit_body, with_cost
from serve.routing.records import Endpoint

pytestmark = pytest.mark.unit


def price(usage: Usage) -> int:
    return usage.prompt_tokens * 1000 + usage.completion_tokens * 2000


def event(**fields) -> bytes:
    return b"data: " + json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
CHAT = [
    event(id="1", choices=[{"delta": {"content": 'Fjord "usage":{ er'}}], usage=None),
    event(id="1", choices=[{"delta": {"content": 'data: {"error"}\n\n en 🏔'}}]),
    event(id="1", choices=[], usage=USAGE),
    b"data: [DONE]\n\n",
]


def run(chunks, endpoint=Endpoint.CHAT, keep_usage=True):
    editor = StreamEditor(endpoint, keep_usage, price)
    out = []
    for chunk in chunks:
        out.append(editor.feed(chunk))
        if editor.failed:
            break
    else:
        out.append(editor.rest())
    return b"".join(out), editor


def test_events_pass_verbatim_and_the_last_one_says_the_cost():
    out, editor = run(CHAT)
    assert out.startswith(CHAT[0] + CHAT[1])
    assert out.endswith(CHAT[3])
    last = json.loads(out.removeprefix(CHAT[0] + CHAT[1]).removesuffix(CHAT[3]).removeprefix(b"data: "))
    assert last["usage"] == {"cost": 13e-6, **USAGE}
    assert (editor.usage.prompt_tokens, editor.usage.cached_tokens, editor.usage.completion_tokens) == (7, 2, 3)
    assert editor.done


def test_a_usage_chunk_that_only_we_asked_for_is_dropped():
    out, editor = run(CHAT, keep_usage=False)
    assert out == CHAT[0] + CHAT[1] + CHAT[3]
    assert editor.usage.completion_tokens == 3


@given(st.lists(st.integers(1, 400), max_size=40), st.booleans())
def test_any_chunking_gives_the_same_bytes(cuts, keep):
    whole = b"".join(CHAT)
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(whole[at : at + cut])
        at += cut
    chunks.append(whole[at:])
    out, editor = run([c for c in chunks if c], keep_usage=keep)
    assert out == run([whole], keep_usage=keep)[0]
    assert editor.usage.prompt_tokens == 7


def test_an_engine_error_ends_the_stream_before_its_done():
    error = event(error={"message": "EngineCore died", "code": 500})
    out, editor = run([CHAT[0] + error + b"data: [DONE]\n\n"])
    assert out == CHAT[0]
    assert editor.failed.message == "EngineCore died"
    assert not editor.done


def test_crlf_events_pass_too():
    whole = b"".join(CHAT).replace(b"\n\n", b"\r\n\r\n")
    out, editor = run([whole[:30], whole[30:]])
    assert b'"cost":0.000013000' in out
    assert editor.done


def test_responses_and_messages_streams_state_usage_in_their_own_places():
    completed = b"event: response.completed\n" + event(
        type="response.completed", response={"id": "r", "usage": {"input_tokens": 5, "output_tokens": 4}}
    )
    out, editor = run([completed], Endpoint.RESPONSES)
    assert json.loads(out.split(b"data: ")[1])["response"]["usage"]["cost"] == 13e-6
    start = b"event: message_start\n" + event(
        type="message_start", message={"usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 0}}
    )
    delta = b"event: message_delta\n" + event(type="message_delta", usage={"output_tokens": 6, "input_tokens": 5})
    out, editor = run([start, delta], Endpoint.MESSAGES)
    assert (editor.usage.prompt_tokens, editor.usage.cached_tokens, editor.usage.completion_tokens) == (8, 3, 6)
    assert out.count(b'"cost":') == 2


def test_an_event_without_end_is_passed_on_in_parts_once_it_is_too_long():
    editor = StreamEditor(Endpoint.CHAT, True, price)
    piece = b"data: " + b"x" * 600_000
    assert editor.feed(piece) == b""
    assert editor.feed(b"x" * 600_000) == piece + b"x" * 600_000


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (b'{"usage":{"prompt_tokens":1,"completion_tokens":1}}', b'"usage":{"cost":0.000003000,"prompt_tokens"'),
        (b'{"usage": { "prompt_tokens": 1}}', b'"usage":{"cost":0.000001000,"prompt_tokens"'),
        (b'{"usage":{}}', b'"usage":{"cost":0.000000000}'),
    ],
)
def test_a_whole_answer_gets_its_cost(body, cost):
    edited, usage = edit_body(body, price)
    assert cost in edited
    json.loads(edited)
    assert usage is not None


@pytest.mark.parametrize("body", [b"", b"{", b'{"usage":null}', b'{"usage":3}', b"\xff", b"[" * 100_000])
def test_an_answer_without_usage_is_left_alone(body):
    assert edit_body(body, price) == (body, None)


def test_cost_has_nine_places_and_no_float_error():
    assert with_cost(b'{"usage":{"a":1}}', 1_234_567_891_234) == b'{"usage":{"cost":1234.567891234,"a":1}}'
