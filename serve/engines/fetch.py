"""Puts a model's weights where its engine finds them, and does nothing if they are there: an init container's program.

    python -m serve.engines.fetch --fleet /etc/parlance/fleet.yaml --model llama-3.3-70b-instruct

A hub repository goes into the cache at $HF_HOME, with the token of $HF_TOKEN, only the files that vLLM loads; after an
interruption those that are whole are not fetched again. `weights: tiny` is built. Complete weights cost no call to the
hub. Exit codes are those of sysexits.h, each with a sentence: 69 the hub does not answer, 74 the volume cannot take it,
77 the hub does not let this account in, 78 the description is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.engines import cache, described, tiny
from serve.engines.fetching import CONFIG, IO_ERROR, NotFetched
from serve.engines.flags import engine_of
from serve.errors import DescriptionError, LocalError
from serve.fleet import yaml


def main(argv: list[str] | None = None) -> int:
    """Fetches one model's weights; the process's exit code."""
    parser = argparse.ArgumentParser(prog="serve.engines.fetch", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fleet", type=Path, required=True)
    parser.add_argument("--model", required=True, help="id of a model of the fleet")
    parser.add_argument("--tiny", type=Path, default=described.TINY, help="where tiny models are built")
    parser.add_argument("--no-download", action="store_true", help="weights of the hub must be there already")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        fetch(entry_of(yaml.read(args.fleet), args.model), args.tiny, download=not args.no_download)
    except DescriptionError as error:
        _say(str(error))
        return CONFIG
    except LocalError as error:
        _say(error.message)
        return CONFIG
    except NotFetched as error:
        _say(f"{args.model}: {error}")
        return error.code
    return 0


def entry_of(fleet: Any, model_id: str) -> Mapping[str, Any]:
    """The entry of that id, as written. Others may be wrong: they are other pods'. Raises NotFetched."""
    models = fleet.get("models") if isinstance(fleet, Mapping) else None
    entries = [one for one in models or () if isinstance(one, Mapping) and one.get("enabled") is not False]
    for one in entries:
        if (one.get("id") or one.get("use")) == model_id:
            return one
    known = ", ".join(str(one.get("id") or one.get("use")) for one in entries) or "none"
    raise NotFetched(f"no model of this fleet has that id; it has {known}", CONFIG)


def fetch(entry: Mapping[str, Any], tiny_root: Path, *, download: bool = True) -> None:
    """Returns when the weights are there. Raises NotFetched, DescriptionError or LocalError."""
    model = described.resolve(entry)
    if engine_of(model).weights == "tiny":
        try:
            _say(f"{model.id}: built in {tiny.build(model, tiny_root)}")
        except OSError as error:
            raise NotFetched(f"{tiny_root} cannot be written: {error.strerror}", IO_ERROR) from error
        return
    loaded = described.loaded(model)
    if loaded.source.startswith("/"):
        if not Path(loaded.source).is_dir():
            raise NotFetched(f"engine.weights: {loaded.source} is not there in this pod", CONFIG)
        _say(f"{model.id}: {loaded.source} is there")
        return
    at, revision = cache.home(), loaded.revision
    name = f"{loaded.source} at {revision or cache.MAIN}"
    if (marker := cache.complete(at, loaded.source, revision)) is not None:
        _say(f"{model.id}: {name} is there, {len(marker.files)} files, {_gb(marker.size)}")
        return
    if not download:
        raise NotFetched(
            f"{name} is not complete in {at}, and engines.weights.download is false: turn it on, or fill the volume "
            "with this program where the hub can be reached",
            CONFIG,
        )
    # Here, because what is there already needs no client: and this module must be read before anyone asks for offline.
    from serve.engines import hub

    with hub.alone(cache.place(at, loaded.source)):
        # Another pod on the same volume may have fetched it while this one waited.
        marker = cache.complete(at, loaded.source, revision) or hub.download(at, loaded.source, revision)
    _say(f"{model.id}: {name} is there, {len(marker.files)} files, {_gb(marker.size)}")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 5e7 else f"{size / 1e6:.1f} MB"


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # lines for a log, not for a terminal
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    sys.exit(main())
