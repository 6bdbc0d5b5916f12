"""What of a hub repository lies complete in this machine's cache, so that an engine starts without the network.

huggingface_hub's cache cannot say whether all files of a snapshot are there. A marker beside it does: it names the
files that an engine loads, with their sizes, and is written when the last of them has arrived.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Marker:
    """A repository's snapshot that is complete. `folder` is relative to the cache; `files` are names and bytes."""

    source: str
    revision: str
    commit: str
    folder: str
    files: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


def home() -> Path:
    """The cache of this process: $HF_HOME, else where huggingface_hub has it."""
    return Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()


def place(cache: Path, source: str) -> Path:
    """What is known of a repository begins with this path."""
    return cache / "parlance" / source.replace("/", "--")


def complete(cache: Path, source: str, revision: str | None) -> Marker | None:
    """The marker, if every file that it names is there in its size; else None."""
    try:
        told = json.loads(_file(cache, source, revision).read_bytes())
        marker = Marker(**told)
        sizes = {name: (cache / marker.folder / name).stat().st_size for name in marker.files}
    except (OSError, ValueError, TypeError):
        return None
    return marker if sizes == marker.files else None


def mark(cache: Path, marker: Marker) -> None:
    """Writes it, whole or not at all. Raises OSError."""
    file = _file(cache, marker.source, marker.revision)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps(asdict(marker), indent=1), encoding="utf-8")
    fresh.replace(file)


def offline(argv: Sequence[str]) -> bool:
    """Takes this process and its children off the hub if what `vllm serve` is told to load is here; whether it is.

    To be called before huggingface_hub is imported, which asks the environment once. Without it every start would ask
    the hub for each file's date, and fail where the hub does.
    """
    words = dict(pairwise(argv))
    here = complete(home(), words.get("--model", ""), words.get("--revision")) is not None
    if here:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return here


def _file(cache: Path, source: str, revision: str | None) -> Path:
    at = place(cache, source)
    return at.with_name(f"{at.name}@{(revision or MAIN).replace('/', '--')}.json")
