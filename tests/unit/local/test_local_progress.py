"""How far an engine is: from Serve's status and vLLM's log; a line for each change where there is no terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from serve.local.progress import Step, View, proxy_step, reason, step
from serve.local.serve_api import Application, Replica

pytestmark = pytest.mark.unit


def app(status: str = "DEPLOYING", state: str | None = "STARTING", message: str = "") -> Application:
    replicas = (Replica(state, 42, "a"),) if state else ()
    return Application("m", status, message, replicas, 1)


def test_stages_follow_the_log(tmp_path: Path) -> None:
    assert step("m", None, None).what == "waiting for Ray Serve"
    assert step("m", app(state=None), tmp_path).what == "being scheduled"
    assert step("m", app(), None).what == "process starting"
    log = tmp_path / "worker-aa-01-42.err"
    log.write_text("nothing yet\n")
    assert step("m", app(), tmp_path).what == "importing vLLM"
    log.write_text("Initializing a V1 LLM engine (v0.32)\nLoading weights took 0.1 seconds\n")
    assert step("m", app(), tmp_path).what == "weights loaded"
    (tmp_path / "worker-bb-01-43.err").write_text("Supported tasks: generate\n")
    assert step("m", app(), tmp_path).what == "weights loaded", "another replica's log says nothing about this one"
    assert step("m", app(state="RUNNING"), tmp_path).ready


def test_a_failure_carries_serve_s_reason() -> None:
    failed = step("m", app("DEPLOY_FAILED", None, "out of memory"), None)
    assert not failed.ready
    assert failed.failed == "out of memory"


TRACEBACK = """The deployment failed to start 3 times in a row. Error:
ray::ServeReplica:m:vllm.initialize_and_get_metadata() (pid=1)
  File "replica.py", line 1928, in initialize
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "arg_utils.py", line 1955, in create_model_config
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, max_model_len (8192) is greater than 4096. [type=value_error]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (TRACEBACK, "max_model_len (8192) is greater than 4096. [type=value_error]"),
        ("OSError: no file named model.safetensors", "no file named model.safetensors"),
        ("just words", "just words"),
        ("", "no reason given"),
    ],
)
def test_a_traceback_is_told_in_its_last_sentence(message: str, expected: str) -> None:
    assert reason(message) == expected


def test_haproxy_s_refusal_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "serve").mkdir()
    assert not proxy_step(False, tmp_path).failed
    (tmp_path / "serve" / "proxy_127.0.0.1.log").write_text(
        "RuntimeError: HAProxy crashed\n[ALERT]    (7) : [haproxy.main()] Cannot raise FD limit to 40990.\n"
    )
    assert "FD limit" in proxy_step(False, tmp_path).failed
    assert proxy_step(True, tmp_path).ready


def test_a_line_for_each_change_elsewhere() -> None:
    out = io.StringIO()
    view = View(out)
    for what in ("loading weights", "loading weights", "ready"):
        view.show([Step("gemma", what, what == "ready")], 3.2, {})
    assert out.getvalue().splitlines() == ["[    3 s] gemma: loading weights", "[    3 s] gemma: ready"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_redrawn() -> None:
    out = Terminal()
    view = View(out)
    view.show([Step("gemma", "loading weights", ready=False)], 3, {})
    view.show([Step("gemma", "ready", ready=True)], 4, {"gemma": 3.6})
    assert "\x1b[2F" in out.getvalue(), "two lines up before the second drawing"
    assert "1 of 1 ready" in out.getvalue()
    assert "ready after 4 s" in out.getvalue()
