"""The init container's program against a hub on loopback: what it fetches, when it does not, and what it says."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.engines import cache
from tests.support.hub import COMMIT, Hub, Repository

pytestmark = pytest.mark.integration

ID = "own"
SOURCE = "maker/model"
FILES = {
    "config.json": b"{}",
    "generation_config.json": b'{"a": 1}',
    "tokenizer.json": b"[]" * 100,
    "model-00001-of-00002.safetensors": b"a" * 200_000,
    "model-00002-of-00002.safetensors": b"b" * 100_000,
    "model.safetensors.index.json": b'{"b": 1}',
    "original/consolidated.00.pth": b"c" * 300_000,
    "pytorch_model.bin": b"d" * 300_000,
    "README.md": b"about",
}
LOADED = {name for name in FILES if "/" not in name and not name.endswith((".bin", ".md"))}


@pytest.fixture
def hub() -> Iterator[Hub]:
    served = Hub({SOURCE: Repository(FILES)})
    yield served
    served.close()


class Pod:
    """A pod's volume, and runs of the program with it."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.weights, self.fleet = folder / "weights", folder / "fleet.yaml"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "HF_HOME": str(self.weights / "hub"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
        }
        self.describe()

    def describe(self, weights: str = "hub", **card: Any) -> None:
        """Writes the fleet."""
        described = {
            "title": "Own", "licence": {"name": "MIT", "gated": False}, "kind": "chat", "context_tokens": 4096,
            "languages_declared": ["en"], "template": {}, "tokenizer": "llama3", "source": SOURCE, **card,
        }  # fmt: skip
        engine = {"device": "cpu", "kv_cache_bytes": 1 << 26, "weights": weights}
        entries = [{"id": "broken", "card": 7}, {"id": ID, "card": described, "engine": engine}]
        self.fleet.write_text(yaml.safe_dump({"models": entries}), encoding="utf-8")

    def start(self, *further: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "serve.engines.fetch", "--fleet", str(self.fleet), "--model", ID]
        return subprocess.Popen(
            [*command, "--tiny", str(self.weights / "tiny"), *further],
            env=self.environment | environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *further: str, **environment: str) -> tuple[int, str]:
        """Exit code, and what it said."""
        process = self.start(*further, **environment)
        _, said = process.communicate(timeout=120)
        return process.returncode, said

    def marker(self, revision: str | None = None) -> cache.Marker | None:
        return cache.complete(self.weights / "hub", SOURCE, revision)


@pytest.fixture
def pod(tmp_path: Path, hub: Hub) -> Pod:
    return Pod(tmp_path, hub)


def test_what_vllm_loads_is_fetched_and_nothing_else(pod: Pod, hub: Hub) -> None:
    code, said = pod.run()
    assert code == 0, said
    assert hub.files_asked() == LOADED
    marker = pod.marker()
    assert marker is not None
    assert marker.commit == COMMIT
    assert set(marker.files) == LOADED


def test_what_is_there_costs_no_call(pod: Pod, hub: Hub) -> None:
    assert pod.run()[0] == 0
    hub.asked.clear()
    hub.close()
    code, said = pod.run("--no-download")
    assert (code, hub.asked) == (0, [])
    assert f"{SOURCE} at main is there, {len(LOADED)} files" in said


def test_the_snapshot_is_found_offline_by_its_client(pod: Pod) -> None:
    assert pod.run()[0] == 0
    asked = "from huggingface_hub import snapshot_download as s; print(s('maker/model', ignore_patterns='*'))"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=pod.environment | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert (Path(done.stdout.strip()) / "model-00001-of-00002.safetensors").stat().st_size == 200_000


def test_a_lost_file_is_fetched_again(pod: Pod, hub: Hub) -> None:
    assert pod.run()[0] == 0
    marker = pod.marker()
    assert marker is not None
    lost = pod.weights / "hub" / marker.folder / "tokenizer.json"
    lost.resolve().unlink()
    assert pod.marker() is None
    hub.asked.clear()
    assert pod.run()[0] == 0
    assert hub.files_asked() == {"tokenizer.json"}


def test_an_interrupted_fetch_keeps_what_is_whole(pod: Pod, hub: Hub) -> None:
    late = "model-00001-of-00002.safetensors"
    hub.repositories[SOURCE].withheld.add(late)
    code, said = pod.run()
    assert (code, "status 404" in said) == (69, True), said
    assert pod.marker() is None
    hub.repositories[SOURCE].withheld.clear()
    began = hub.files_asked() - {late}
    hub.asked.clear()
    left = pod.weights / "hub/hub/models--maker--model/blobs/killed.incomplete"
    left.write_bytes(b"a part of a file")
    os.utime(left, (0, 0))
    assert pod.run()[0] == 0
    assert late in hub.files_asked() <= LOADED - began | {late}
    assert pod.marker() is not None
    assert not left.exists()


def test_a_pinned_revision_has_a_place_of_its_own(pod: Pod) -> None:
    assert pod.run()[0] == 0
    pod.describe(revision=COMMIT)
    assert pod.marker(COMMIT) is None
    assert pod.run()[0] == 0
    marker = pod.marker(COMMIT)
    assert marker is not None
    assert marker.revision == COMMIT


def test_a_gated_repository_without_a_token(pod: Pod, hub: Hub) -> None:
    hub.repositories[SOURCE].gated = True
    code, said = pod.run()
    assert code == 77
    assert f"{SOURCE} is gated, and there is no token" in said
    assert f"{hub.url}/{SOURCE}" in said
    assert "engines.hub.token.existingSecret" in said
    assert pod.marker() is None


def test_a_gated_repository_with_an_account_that_may_not(pod: Pod, hub: Hub) -> None:
    hub.repositories[SOURCE].gated, hub.repositories[SOURCE].token = True, "right"
    code, said = pod.run(HF_TOKEN="wrong")
    assert code == 77
    assert "the token's account may not read it" in said
    assert "wrong" not in said.replace(hub.url, "")
    assert pod.run(HF_TOKEN="right")[0] == 0


@pytest.mark.parametrize(
    ("card", "code", "words"),
    [
        ({"source": "maker/none"}, 77, "has no maker/none"),
        ({"revision": "f" * 40}, 78, "has no revision"),
        ({"source": "no/such/name"}, 78, "is no name of a hub repository"),
    ],
)
def test_what_the_hub_does_not_have(pod: Pod, card: dict[str, str], code: int, words: str) -> None:
    pod.describe(**card)
    found, said = pod.run()
    assert (found, words in said) == (code, True), said


def test_a_hub_that_does_not_answer(pod: Pod) -> None:
    code, said = pod.run(HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 69
    assert "http://127.0.0.1:9 does not answer" in said
    assert "engines.hub.endpoint" in said


def test_a_repository_without_weights(pod: Pod, hub: Hub) -> None:
    hub.repositories[SOURCE].files = {"config.json": b"{}", "model.gguf": b"g"}  # type: ignore[misc]
    code, said = pod.run()
    assert (code, "has no weights that vLLM loads" in said) == (78, True)


def test_no_download_says_what_is_missing(pod: Pod, hub: Hub) -> None:
    code, said = pod.run("--no-download")
    assert (code, hub.asked) == (78, [])
    assert "engines.weights.download is false" in said


def test_two_pods_on_one_volume_fetch_once(pod: Pod, hub: Hub) -> None:
    at = cache.place(pod.weights / "hub", SOURCE)
    at.parent.mkdir(parents=True)
    with at.with_name(f"{at.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        first, second = pod.start(), pod.start()
        waiting = [threading.Event(), threading.Event()]
        said: list[list[str]] = [[], []]

        def read(process: subprocess.Popen[str], lines: list[str], event: threading.Event) -> None:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if "waiting for it" in line:
                    event.set()

        readers = [
            threading.Thread(target=read, args=(process, lines, event))
            for process, lines, event in zip((first, second), said, waiting, strict=True)
        ]
        for reader in readers:
            reader.start()
        assert all(event.wait(120) for event in waiting), said
        assert hub.asked == []
    assert [first.wait(120), second.wait(120)] == [0, 0]
    for reader in readers:
        reader.join()
    fetched = [path for how, path in hub.asked if how == "GET" and path.endswith(".safetensors")]
    assert len(fetched) == len(set(fetched)) == 2


def test_tiny_weights_are_built_once(pod: Pod, hub: Hub) -> None:
    pod.fleet.write_text(
        yaml.safe_dump(
            {"models": [{"use": "gemma-2-9b-it", "id": ID,
                         "engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}}]}
        )
    )  # fmt: skip
    assert pod.run()[0] == 0
    (built,) = (pod.weights / "tiny").iterdir()
    assert json.loads((built / "config.json").read_text())["architectures"] == ["Gemma2ForCausalLM"]
    assert hub.asked == []


def test_a_folder_that_is_not_there(pod: Pod) -> None:
    pod.describe(weights="/nowhere/at/all")
    code, said = pod.run()
    assert (code, "/nowhere/at/all is not there in this pod" in said) == (78, True)


def test_a_model_that_the_fleet_does_not_have(pod: Pod) -> None:
    pod.fleet.write_text(yaml.safe_dump({"models": [{"use": "gemma-2-9b-it"}]}))
    code, said = pod.run()
    assert (code, "it has gemma-2-9b-it" in said) == (78, True)
