"""Fetches a hub repository into this machine's cache. The only module that calls the hub."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of httpx, or httpx2: whichever this version has
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from serve.engines.cache import MAIN, Marker, mark
from serve.engines.fetching import CONFIG, IO_ERROR, NO_PERMISSION, UNAVAILABLE, NotFetched, wanted

log = logging.getLogger("parlance.fetch")

POLL_S = 2.0
TELL_S = 30.0
STALE_S = 3600.0
# What a file system without locks says.
LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """While no other pod that has this volume is in here for the same place. Raises NotFetched.

    The lock goes with the process that holds it. A volume that knows no locks has huggingface_hub's own, a file at a
    time.
    """
    file = place.with_name(f"{place.name}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    except OSError as error:
        raise NotFetched(f"{file.parent} cannot be written: {error.strerror}", IO_ERROR) from error
    try:
        _lock(descriptor, place.name)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, name: str) -> None:
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                log.info("another pod on this volume fetches %s: waiting for it", name)
                told = True
            time.sleep(POLL_S)
        except OSError as error:
            if error.errno not in LOCKLESS:
                raise NotFetched(f"the volume's lock: {error.strerror}", IO_ERROR) from error
            log.warning("the volume knows no locks (%s): two pods may fetch the same file twice", error.strerror)
            return


def download(cache: Path, source: str, revision: str | None) -> Marker:
    """Fetches what is missing of the files that vLLM loads, and marks the snapshot as complete. Raises NotFetched."""
    try:
        return _download(cache, source, revision)
    except GatedRepoError as error:
        raise NotFetched(_gated(source, error), NO_PERMISSION) from error
    except RevisionNotFoundError as error:
        raise NotFetched(
            f"{source} has no revision {revision}: card.revision is a commit, tag or branch of it", CONFIG
        ) from error
    except RepositoryNotFoundError as error:
        raise NotFetched(
            f"{constants.ENDPOINT} has no {source}, or shows it to other accounts only: correct card.source, or name "
            "a Secret with an account's token in engines.hub.token.existingSecret",
            NO_PERMISSION,
        ) from error
    except HFValidationError as error:
        raise NotFetched(f"{source!r} is no name of a hub repository (card.source, engine.weights): {error}", CONFIG) \
            from error  # fmt: skip
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise NotFetched(
                f"{constants.ENDPOINT} does not take the token (status {status}): renew the one in the Secret that "
                "engines.hub.token.existingSecret names",
                NO_PERMISSION,
            ) from error
        raise NotFetched(f"{constants.ENDPOINT} answers {source} with status {status}", UNAVAILABLE) from error
    except (HTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise NotFetched(
            f"{constants.ENDPOINT} does not answer ({_short(error)}): the weights are not in {cache} yet, so that this "
            "pod needs the hub (engines.hub.endpoint, networkPolicies.downloads)",
            UNAVAILABLE,
        ) from error
    except OSError as error:
        room = ": give engines.weights.size more" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise NotFetched(f"{cache} cannot be written: {error.strerror or error}{room}", IO_ERROR) from error


def _download(cache: Path, source: str, revision: str | None) -> Marker:
    info = HfApi().model_info(source, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = wanted(sizes)
    if not any(name.endswith((".safetensors", ".bin", ".pt")) for name in names):
        raise NotFetched(f"{source} has no weights that vLLM loads, only {', '.join(names) or 'no files'}", CONFIG)
    total, folder = sum(sizes[name] for name in names), cache / "hub"
    _check_room(folder, source, total)
    log.info("%s: fetching %d files, %.1f GB", source, len(names), total / 1e9)
    _sweep(folder / f"models--{source.replace('/', '--')}" / "blobs")
    with _telling(folder / f"models--{source.replace('/', '--')}" / "blobs", total):
        # With the revision's name, so that the cache knows later which commit it meant.
        snapshot = Path(
            snapshot_download(source, revision=revision or MAIN, allow_patterns=[_literal(name) for name in names],
                              cache_dir=folder)
        )  # fmt: skip
    here = {name: (snapshot / name).stat().st_size for name in names if (snapshot / name).exists()}
    missing = sorted(set(names) - set(here))
    if missing:
        raise NotFetched(f"{source} changed while it was fetched: {', '.join(missing)} are missing", UNAVAILABLE)
    marker = Marker(source, revision or MAIN, snapshot.name, str(snapshot.relative_to(cache.resolve())), here)
    mark(cache, marker)
    return marker


def _check_room(folder: Path, source: str, total: int) -> None:
    """Refuses what cannot fit, before hours of fetching. What an interrupted fetch left there counts as room."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    began = _size(folder / f"models--{source.replace('/', '--')}" / "blobs")
    if total - began > free:
        raise NotFetched(
            f"{source} takes {total / 1e9:.1f} GB more than the {began / 1e9:.1f} GB that are there, and {folder} has "
            f"{free / 1e9:.1f} GB free: give engines.weights.size more",
            IO_ERROR,
        )


@contextlib.contextmanager
def _telling(blobs: Path, total: int) -> Iterator[None]:
    """Meanwhile a line now and then of how far it is."""
    done = threading.Event()

    def tell() -> None:
        before, at = _size(blobs), time.monotonic()
        while not done.wait(TELL_S):
            size, now = _size(blobs), time.monotonic()
            rate = (size - before) / (now - at)
            log.info("%.1f of %.1f GB, %.0f MB/s", size / 1e9, total / 1e9, rate / 1e6)
            before, at = size, now

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _sweep(blobs: Path) -> None:
    """Removes what fetches that were killed left behind: their client never takes such a file up again."""
    for begun in blobs.glob("*.incomplete"):
        with contextlib.suppress(OSError):
            # On a volume without locks another pod may be writing one.
            if time.time() - begun.stat().st_mtime > STALE_S:
                begun.unlink()


def _size(folder: Path) -> int:
    out = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                out += entry.stat().st_blocks * 512  # of what is written: a begun file may be as long as a whole one
    return out


def _gated(source: str, error: Any) -> str:
    page = f"{constants.ENDPOINT}/{source}"
    if not os.environ.get("HF_TOKEN"):
        return (
            f"{source} is gated, and there is no token: accept its terms at {page}, put a token of that account into a "
            "Secret, and name it in engines.hub.token.existingSecret"
        )
    return (
        f"{source} is gated, and the token's account may not read it (status {error.response.status_code}): accept its "
        f"terms at {page} with that account, or put another's token into the Secret of engines.hub.token.existingSecret"
    )


def _literal(name: str) -> str:
    """The pattern that only this name fits."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _short(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0][:200]
