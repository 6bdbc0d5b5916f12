"""What `up` writes, `status` and `down` read; two at once are told apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from serve.errors import LocalError
from serve.local import stack
from serve.local.state import Ports, State, Store

pytestmark = pytest.mark.unit

NO_GATEWAY = ("gateway", "admin")


def state(tmp_path: Path, **changes) -> State:
    names = [name for name, field in Ports.model_fields.items() if field.is_required() and name not in NO_GATEWAY]
    ports = Ports(gateway=None, admin=None, **{name: 1 + index for index, name in enumerate(names)})
    values = {
        "marker": "feedface",
        "fleet": "/fleet.yaml",
        "digest": "d",
        "models": ("a", "b"),
        "ports": ports,
        "ray_dir": str(tmp_path / "ray"),
        "serve_url": "http://127.0.0.1:1",
        "dashboard_url": "http://127.0.0.1:2",
        "started_at": 0.0,
    }
    return State(**(values | changes))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.load() is None
    written = state(tmp_path, sessions=[4], model_ready_s={"a": 1.5})
    store.save(written)
    assert store.load() == written
    store.clear()
    assert store.load() is None


def test_the_environment_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANCE_STATE", str(tmp_path / "x"))
    assert Store().root == tmp_path / "x"
    monkeypatch.delenv("PARLANCE_STATE")
    monkeypatch.chdir(tmp_path)
    assert Store().root == tmp_path / ".state"


def test_a_damaged_record_is_one_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.file.write_text("{")
    with pytest.raises(LocalError, match="cannot be read"):
        store.load()


def test_two_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        code = (
            "import sys; from pathlib import Path; from serve.local.state import Store\n"
            "with Store(Path(sys.argv[1])).lock(): pass"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert "another `parlance up` or `down` is at work" in done.stderr
    with store.lock():
        pass


def test_down_without_a_stack_is_no_failure(tmp_path: Path) -> None:
    assert stack.down(Store(tmp_path)) == 0


def test_down_after_a_crash_forgets_and_keeps_the_logs(tmp_path: Path) -> None:
    """Nothing of the recorded stack lives: its directory goes, its logs stay."""
    store = Store(tmp_path / "state")
    dead = state(tmp_path)
    logs = Path(dead.ray_dir) / "session_1" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("last words")
    (Path(dead.ray_dir) / "session_latest").symlink_to(logs.parent)
    store.save(dead)
    assert stack.down(store) == 0
    assert store.load() is None
    assert not Path(dead.ray_dir).exists()
    assert (store.logs / "ray" / "raylet.out").read_text() == "last words"
