"""The guard: 503 with a dead engine while no byte is out, and a client that leaves is seen by the handler."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from serve.engines.fallback import NoReplica
from serve.engines.guard import Guard

pytestmark = pytest.mark.unit

SCOPE = {"type": "http", "path": "/v1/completions"}


class Engine:
    errored = False


async def nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def run(app: Any, engine: Engine, scope: Any = SCOPE) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(app, engine)(scope, nothing, send))
    return sent


def answer(status: int, *bodies: bytes, dies: Engine | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if dies:
            dies.errored = True
        await send({"type": "http.response.start", "status": status, "headers": []})
        for index, body in enumerate(bodies):
            await send({"type": "http.response.body", "body": body, "more_body": index + 1 < len(bodies)})

    return app


def test_a_healthy_engine_s_answer_passes_unchanged() -> None:
    sent = run(answer(200, b"a", b"b"), Engine())
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body", "http.response.body"]
    assert [m["body"] for m in sent[1:]] == [b"a", b"b"]


def test_an_error_of_a_healthy_engine_passes_unchanged() -> None:
    assert run(answer(500, b"x"), Engine())[0]["status"] == 500


def test_a_dead_engine_is_503_before_the_app_is_asked() -> None:
    engine = Engine()
    engine.errored = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("must not be called")

    start, body = run(app, engine)
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"]
    assert json.loads(body["body"])["error"]["code"] == "engine_unavailable"


@pytest.mark.parametrize(
    ("status", "first"),
    [(500, b"oops"), (200, b'data: {"error": {"message": "dead"}}\n\n'), (200, b"event: error\ndata: {}\n\n")],
)
def test_death_before_the_first_byte_is_503_once(status: int, first: bytes) -> None:
    engine = Engine()
    sent = run(answer(status, first, b"data: [DONE]\n\n", dies=engine), engine)
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 503


def test_what_a_dying_engine_had_finished_is_delivered() -> None:
    engine = Engine()
    assert run(answer(200, b"whole answer", dies=engine), engine)[1]["body"] == b"whole answer"


def test_an_exception_of_a_dead_engine_is_503() -> None:
    engine = Engine()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        engine.errored = True
        raise RuntimeError("EngineDeadError")

    assert run(app, engine)[0]["status"] == 503


def test_after_the_first_byte_nothing_is_rewritten() -> None:
    engine = Engine()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        engine.errored = True
        await send({"type": "http.response.body", "body": b'data: {"error": 1}\n\n', "more_body": False})

    assert [m.get("body") for m in run(app, engine)] == [None, b"data: 1\n\n", b'data: {"error": 1}\n\n']


def test_a_cancelled_request_may_still_abort_its_work() -> None:
    """Ray Serve cancels; the handler sees http.disconnect, aborts, and is not torn down in the middle of it."""
    seen: list[str] = []
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            message = await receive()
            seen.append(message["type"])
            await asyncio.sleep(0.01)
            seen.append("aborted")
        except asyncio.CancelledError:
            seen.append("torn")
            raise

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    async def scenario() -> None:
        request = asyncio.create_task(Guard(app, Engine())(SCOPE, receive, send))
        await asyncio.sleep(0)
        request.cancel()
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(scenario())
    assert seen == ["http.disconnect", "aborted"]


def test_the_fallback_answers_503_and_lets_serve_s_own_paths_through() -> None:
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    def ask(path: str) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(NoReplica(app)({"type": "http", "path": path}, nothing, send))
        return sent

    assert ask("/gemma-2-9b-it/v1/completions")[0]["status"] == 503
    assert ask("/-/healthz") == []
    assert passed == ["/-/healthz"]
