"""Writes tiny models as hub repositories: the files that vLLM and transformers load, in a fraction of a second each.

Neither torch nor transformers is imported: they would take longer than the work.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from serve.engines.tiny.recipe import Recipe, recipe
from serve.fleet import Model


def directory(model: Model, root: Path) -> Path:
    """Where `build` puts this model below `root`. Changes with the recipe."""
    return _directory(recipe(model), root)


def build(model: Model, root: Path) -> Path:
    """The directory of the model's weights, tokenizer and configuration; built unless it is there already.

    Appears under its name only when it is complete. Older recipes of the same model are removed. Raises LocalError
    for an architecture without a tiny stand-in.
    """
    wanted = recipe(model)
    target = _directory(wanted, root)
    if not target.exists():
        root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{wanted.model_id}-", dir=root))
        try:
            _write(wanted, staging)
            staging.chmod(0o755)
            try:
                staging.rename(target)
            except OSError:
                if not target.exists():  # else another `up` was first, with the same bytes
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    for old in root.glob(f"{wanted.model_id}@*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def _directory(wanted: Recipe, root: Path) -> Path:
    return root / f"{wanted.model_id}@{wanted.digest}"


def _write(wanted: Recipe, path: Path) -> None:
    # Here, because a command that only looks for the directory must not wait for numpy.
    from safetensors.numpy import save_file

    from serve.engines.tiny import tokenizer as tokenizers
    from serve.engines.tiny.templates import template
    from serve.engines.tiny.weights import config, tensors

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = tokenizers.train(wanted)
    tokens = tokenizers.specials(wanted)
    ids = {token: index for index, token in enumerate(tokens.all)}  # the trainer gives them the first ids
    stop = tokens.stops[0] if tokens.stops else tokens.text_end
    bos, text_end = ids[tokens.bos], ids[tokens.text_end]
    tokenizer.save(str(path / "tokenizer.json"))
    _json(
        path / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens.bos,
            "eos_token": stop,
            "additional_special_tokens": [t for t in tokens.all if t not in (tokens.bos, stop)],
            "model_max_length": wanted.context_tokens,
            "clean_up_tokenization_spaces": False,
        },
    )
    if (text := template(wanted)) is not None:
        (path / "chat_template.jinja").write_text(text, encoding="utf-8")
    stops = sorted({text_end, *(ids[token] for token in tokens.stops)})
    _json(path / "config.json", config(wanted, bos, text_end))
    _json(path / "generation_config.json", {"bos_token_id": bos, "eos_token_id": stops})
    save_file(tensors(wanted, len(tokens.all)), path / "model.safetensors", metadata={"format": "pt"})


def _json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
