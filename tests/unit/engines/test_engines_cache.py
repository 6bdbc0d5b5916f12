"""Which files an engine needs, and when the cache has all of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serve.engines import cache
from serve.engines.fetching import wanted

pytestmark = pytest.mark.unit

SMALL = ["config.json", "tokenizer.json", "tokenizer.model", "chat_template.jinja"]


@pytest.mark.parametrize(
    ("weights", "loaded"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["model.safetensors", "consolidated.safetensors"], ["model.safetensors"]),
        (["consolidated.safetensors"], ["consolidated.safetensors"]),
        (["pytorch_model-00001-of-00001.bin", "training_args.bin"], ["pytorch_model-00001-of-00001.bin"]),
        (["weights.bin", "training_args.bin"], ["weights.bin"]),
        (["model.pt"], ["model.pt"]),
        (["original/consolidated.00.pth", "onnx/model.onnx", "model.gguf"], []),
    ],
)
def test_one_form_of_the_weights_is_wanted(weights: list[str], loaded: list[str]) -> None:
    others = ["README.md", ".gitattributes", "figure.png", "original/params.json"]
    assert wanted([*SMALL, *weights, *others]) == sorted([*SMALL, *loaded])


def stored(home: Path, revision: str = "main") -> cache.Marker:
    folder = home / "hub/models--a--b/snapshots/c0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes(b"12345")
    marker = cache.Marker("a/b", revision, "c0", "hub/models--a--b/snapshots/c0", {"config.json": 5})
    cache.mark(home, marker)
    return marker


def test_a_marker_holds_while_its_files_are_there(tmp_path: Path) -> None:
    marker = stored(tmp_path)
    assert cache.complete(tmp_path, "a/b", None) == marker
    assert marker.size == 5
    assert cache.complete(tmp_path, "a/b", "v1") is None
    file = tmp_path / marker.folder / "config.json"
    file.write_bytes(b"1234")
    assert cache.complete(tmp_path, "a/b", None) is None
    file.unlink()
    assert cache.complete(tmp_path, "a/b", None) is None


def test_a_broken_marker_is_none(tmp_path: Path) -> None:
    stored(tmp_path)
    (file,) = (tmp_path / "parlance").iterdir()
    for text in ("", "{}", "[]", '{"source": 1}', '{"files": {}, "other": 1}'):
        file.write_text(text)
        assert cache.complete(tmp_path, "a/b", None) is None


def test_an_engine_goes_offline_only_with_complete_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path, "v1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # so that what is set here is taken back
    monkeypatch.delenv("HF_HUB_OFFLINE")

    assert not cache.offline(["--model", "a/b", "--dtype", "bfloat16"])
    assert not cache.offline(["--served-model-name", "x"])
    assert "HF_HUB_OFFLINE" not in os.environ
    assert cache.offline(["--model", "a/b", "--revision", "v1", "--tokenizer-revision", "v1"])
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_what_the_description_says_of_offline_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    stored(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert cache.offline(["--model", "a/b"])
    assert os.environ["HF_HUB_OFFLINE"] == "0"
