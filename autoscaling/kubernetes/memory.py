"""The history in a ConfigMap: any pod may lead next, and goes on where the last one stopped."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import logging
import zlib
from dataclasses import replace
from typing import Any

from autoscaling import state_file
from autoscaling.history import History
from autoscaling.kubernetes.api import Api, Refused
from autoscaling.kubernetes.lease import LABELS
from autoscaling.memory import Unavailable
from serve.fleet.autoscaling_kubernetes import Kubernetes

log = logging.getLogger("parlance.autoscaler")

KEY = "history.json.gz"
# For the chart, beside it in plain JSON: the replicas that each model is to have. A change of a deployment resets Ray
# Serve's number to that of the file, so that a `helm upgrade` writes these into it.
TARGETS = "targets"
NONE = "{}"
# The API server takes objects of up to 1 MiB with everything in them, etcd of 1.5; base64 makes 4 bytes of 3.
MOST_BYTES = 700_000
# Beyond what a fleet's history unpacks to: not ours.
MOST_UNPACKED = 256 * 1024 * 1024


class ConfigMapMemory:
    """Written after a round that changed replicas or what they are to be, and else every `save_s`; at the end by
    `save(..., now=True)`.

    What a leader that died had not written yet is lost: `autoscaling.handover` says what then holds.
    """

    def __init__(self, api: Api, settings: Kubernetes) -> None:
        self.name = settings.config_map
        self._api, self._every_s = api, settings.save_s
        self._collection = f"/api/v1/namespaces/{api.namespace}/configmaps"
        self._path = f"{self._collection}/{self.name}"
        # Metadata that this leader read or wrote last; None: there is no ConfigMap.
        self._head: dict[str, Any] | None = None
        self._saved: float | None = None  # by the controller's clock
        self._targets = NONE  # as they stand there
        self._said = ""

    def load(self, wall: float, clock: float) -> History:
        """The last leader's history on this process's clock; an empty one where there is none that can be read. Raises
        Unavailable where the API server does not answer: what it keeps must not be overwritten by less."""
        self._saved, self._head, self._targets = clock, None, NONE
        try:
            found = self._api.get(self._path)
        except Refused as error:
            if error.status is None or error.status >= 500 or error.status == 429:
                raise Unavailable(f"what the last leader saw is not known yet: {error}") from error
            if not error.missing:
                log.warning("history begins anew, and is not kept: %s", error)
            return History()
        self._head = dict(found["metadata"])
        self._targets = str((found.get("data") or {}).get(TARGETS, NONE))
        written = (found.get("binaryData") or {}).get(KEY)
        if written is None:  # as a chart makes it
            return History()
        try:
            packed = base64.b64decode(written, validate=True)
            return state_file.decoded(_unpacked(packed), f"ConfigMap {self.name}", wall, clock)
        except (LookupError, binascii.Error, zlib.error, ValueError) as error:
            log.warning("ConfigMap %s cannot be read, and history begins anew: %r", self.name, error)
            return History()

    def save(self, history: History, wall: float, clock: float, *, now: bool) -> None:
        """Writes it, if `now` or if it is due. What cannot be written is logged once, and tried again in the next
        round. The write of a leader that was replaced meanwhile fails by its version."""
        wanted = targets(history)
        due = self._saved is None or clock - self._saved >= self._every_s
        if not (now or due or wanted != self._targets):
            return
        try:
            self._head = self._write(packed(history, wall, clock), wanted)
        except Refused as error:
            words = f"ConfigMap {self.name} cannot be written, another leader would know less: {error}"
            if words != self._said:
                log.warning("%s", words)
            self._said = words
            if error.conflict or error.missing:
                self._head = self._current()
            return
        self._saved, self._said, self._targets = clock, "", wanted

    def _write(self, data: bytes, wanted: str) -> dict[str, Any]:
        """The ConfigMap's metadata as it is then. Labels and annotations of others stay: whose object it was, a chart's
        for one, it is still. Raises Refused."""
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap"}
        body["binaryData"] = {KEY: base64.b64encode(data).decode()}
        body["data"] = {TARGETS: wanted}
        if self._head is None:
            head = {"name": self.name, "namespace": self._api.namespace, "labels": LABELS}
            told = self._api.create(self._collection, {**body, "metadata": head})
        else:
            told = self._api.replace(self._path, {**body, "metadata": self._head})
        return dict(told["metadata"])

    def _current(self) -> dict[str, Any] | None:
        try:
            return dict(self._api.get(self._path)["metadata"])
        except Refused:
            return None


def targets(history: History) -> str:
    """The last target of each model whose target is known: `{"gemma-2-9b-it": 2}`, the same text for the same ones."""
    known = {name: past.target for name, past in history.models.items() if past.target is not None}
    return json.dumps(known, sort_keys=True)


def packed(history: History, wall: float, clock: float) -> bytes:
    """Compressed, in at most MOST_BYTES: where it is more, each model's older half of rounds goes, and again. Without
    them a window looks as if it had begun later, which keeps replicas for longer."""
    while len(data := gzip.compress(state_file.encoded(history, wall, clock), 6, mtime=0)) > MOST_BYTES:
        rounds = max((len(past.rounds) for past in history.models.values()), default=0)
        if rounds < 2:
            log.warning("the history of %d models is too large for a ConfigMap, and is not kept", len(history.models))
            return gzip.compress(state_file.encoded(History(), wall, clock), 6, mtime=0)
        models = {name: replace(past, rounds=past.rounds[-(rounds // 2) :]) for name, past in history.models.items()}
        history = replace(history, models=models)
    return data


def _unpacked(data: bytes) -> bytes:
    """Raises zlib.error or ValueError."""
    inflate = zlib.decompressobj(wbits=31)
    out = inflate.decompress(data, MOST_UNPACKED)
    if not inflate.eof:
        raise ValueError("cut off, or larger than any history")
    return out
