"""Bad HTTP, bad bodies, slow and greedy clients, paths that are not for them: raw bytes over sockets."""

import contextlib
import json
import socket
import time

import pytest

pytestmark = pytest.mark.integration

BODY = json.dumps({"model": "big", "messages": [{"role": "user", "content": "x"}]}).encode()


def request(path=b"/v1/chat/completions", method=b"POST", headers=b"", body=BODY, length=None):
    size = len(body) if length is None else length
    return b"%s %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%s\r\n%s" % (method, path, size, headers, body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def error_of(answer: bytes) -> dict:
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]


BAD_HTTP = {
    "transfer-encoding and content-length": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
    b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two content-lengths": request(headers=b"content-length: 3\r\n"),
    "bare LF": b"POST /v1/chat/completions HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
    "negative length": request(length=-1),
    "length with a sign": b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nabcde",
    "no HTTP": b"hello\r\n\r\n",
    "NUL in a header": request(headers=b"x-a: b\x00c\r\n"),
    "space before the colon": request(headers=b"x-a : b\r\n"),
    "folded header": request(headers=b"x-a: b\r\n c\r\n"),
    "bad chunk size": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/3.0": b"GET /v1/models HTTP/3.0\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_HTTP)
def test_bad_http_is_refused_and_the_connection_ends(gateway, engines, name):
    answer = gateway.raw(BAD_HTTP[name], wait_s=3)
    assert status(answer) == 400, answer[:200]
    assert error_of(answer)["code"] == "invalid_http"
    assert not engines[0].requests


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"\xff\xfe",
    b'{"model":"\xc3\x28"}',
    b'{"model":NaN}',
    b'{"model":"big","messages":[{"role":"user","content":"\\ud800"}]}',
    b"[" * 200_000,
    b'{"a":' * 40_000,
    b'{"model":"big","messages":[{"role":"user","content":"x"}],"seed":' + b"9" * 5000 + b"}",
    b'{"model":"big","messages":[{"role":"user","content":"x"}],"max_tokens":9223372036854775808}',
    b'{"model":"big","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]}',
    b'{"model":"big","messages":[{"role":"user","content":"x"}],"chat_template":"{{ 1 }}"}',
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=[b[:24].decode("latin-1") for b in BAD_BODIES])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
def test_bad_bodies_are_a_400_that_names_what_is_wrong(gateway, engines, body, path):
    got = gateway.post(path, body)
    assert got.status == 400
    assert set(got.json["error"]) == {"message", "type", "param", "code"}
    assert got.json["error"]["message"]
    assert not engines[0].requests


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(gateway):
    answer = gateway.raw(request(body=b"", length=100_000_000))
    assert status(answer) == 413
    assert error_of(answer)["code"] == "request_too_large"


def test_an_endless_chunked_body_is_refused_and_not_kept(gateway):
    before = gateway.resident_mib()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        sent, answer = 0, b""
        s.settimeout(0.2)
        while sent < 200_000_000:
            try:
                s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
            except (ConnectionError, TimeoutError):
                break
        with contextlib.suppress(ConnectionError, TimeoutError):
            answer = s.recv(65536)
    assert sent < 20_000_000
    assert not answer or status(answer) == 413
    assert gateway.resident_mib() - before < 10


@pytest.mark.parametrize("part", ["header", "body", "nothing"])
def test_a_slow_client_is_cut_off_at_the_deadline(gateway, part):
    data = {"header": b"POST /v1/chat/completions HTTP/1.1\r\nhost:", "body": request(length=500)[:-10], "nothing": b""}
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=6) as s:
        began = time.monotonic()
        s.sendall(data[part])
        answer = s.recv(65536)
        assert time.monotonic() - began < 4
    assert status(answer) == (0 if part == "nothing" else 408)


def test_headers_have_a_limit(gateway):
    assert status(gateway.raw(request(headers=b"x-a: %s\r\n" % (b"a" * 9000)))) == 431
    many = b"".join(b"x-%d: a\r\n" % i for i in range(2000))
    assert status(gateway.raw(request(headers=many))) == 431
    assert gateway.post("/v1/chat/completions", BODY, **{"x-a": "a" * 4000}).status == 200


def test_a_large_body_after_small_headers_is_no_header(gateway):
    body = json.dumps({"model": "big", "messages": [{"role": "user", "content": "x" * 100_000}]}).encode()
    assert gateway.post("/v1/chat/completions", body).status == 200


UNLISTED = [
    "/",
    "/health",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/invocations",
    "/pause",
    "/resume",
    "/sleep",
    "/tokenize",
    "/detokenize",
    "/update_weights",
    "/init_weight_transfer_engine",
    "/collective_rpc",
    "/load",
    "/ping",
    "/version",
    "/server_info",
    "/reset_prefix_cache",
    "/scale_elastic_ep",
    "/v1",
    "/v1/",
    "/v1/chat/completions/",
    "/v1/chat/completions/render",
    "/v1/audio/transcriptions",
    "/v1/load_lora_adapter",
    "/v1/responses/abc",
    "/v1/messages/count_tokens",
    "/big/v1/chat/completions",
    "/-/routes",
    "/v1/chat/../../metrics",
    "/v1/chat%2f..%2fcompletions",
    "//v1/chat/completions",
    "/V1/chat/completions",
    "/v1/chat/completions;x",
]


@pytest.mark.parametrize("path", UNLISTED)
def test_only_listed_paths_exist(gateway, engines, path):
    for method in (b"GET", b"POST"):
        answer = gateway.raw(request(path.encode(), method, headers=b"connection: close\r\n"))
        assert status(answer) == 404, (method, path)
    assert not engines[0].requests


@pytest.mark.parametrize("target", [b"http://evil/v1/models", b"/v1/models?x=/../admin", b"/v1/%6dodels"])
def test_odd_spellings_of_a_listed_path_are_judged_by_the_parsed_path(gateway, target):
    answer = gateway.raw(b"GET %s HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n" % target)
    assert status(answer) in (200, 400, 404)
    if status(answer) == 200:
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["object"] == "list"


@pytest.mark.parametrize(
    ("method", "path"), [(b"GET", b"/v1/chat/completions"), (b"POST", b"/v1/models"), (b"GET", b"/v1/route")]
)
def test_a_wrong_method_is_a_405(gateway, method, path):
    answer = gateway.raw(request(path, method, headers=b"connection: close\r\n"))
    assert status(answer) == 405
    assert error_of(answer)["code"] == "method_not_allowed"


def test_names_from_outside_make_no_series_and_no_second_log_line(gateway):
    before = len(gateway.admin("/metrics").body.splitlines())
    for index in range(300):
        name = f"model-{index}\r\nx\x1b"
        got = gateway.chat(model=name, parlance={"language": f"{chr(97 + index % 26)}{chr(97 + index // 26)}q"})
        assert got.status == 404
    assert len(gateway.admin("/metrics").body.splitlines()) - before < 40
    assert all(isinstance(r, dict) for r in gateway.records())


def test_pipelined_requests_are_answered_in_order(gateway):
    answer = gateway.raw(
        request(path=b"/v1/models/big", method=b"GET", body=b"")
        + request(path=b"/v1/models/small", method=b"GET", body=b"", headers=b"connection: close\r\n")
    )
    assert answer.index(b'"id":"big"') < answer.index(b'"id":"small"')
