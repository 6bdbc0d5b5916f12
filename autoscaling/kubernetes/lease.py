"""Leadership by a Lease (coordination.k8s.io/v1), renewed by a thread: a round may take longer than a Lease lasts."""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from typing import Any

from autoscaling.kubernetes.api import Api, Refused, micro_time, name_of
from autoscaling.kubernetes.election import Election, Record
from serve.fleet.autoscaling_kubernetes import RETRY_JITTER, Kubernetes

log = logging.getLogger("parlance.autoscaler")

LABELS = {"app.kubernetes.io/name": "parlance-autoscaler", "app.kubernetes.io/managed-by": "parlance"}
# Where the holder tells its plan. It is written with the holder's name and goes with it.
PLAN_URL = "parlance.dev/plan-url"


def clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts them: a laptop's lid ends a lease."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """Leads while it holds the Lease.

    Nobody who stopped asking leads: after `patience_s` without a question the Lease is let go, so that a controller
    that hangs is not kept in office by its own thread.
    """

    def __init__(self, api: Api, settings: Kubernetes, patience_s: float, plan_url: str | None = None) -> None:
        """`plan_url`: where other pods find this process's plan; None: they do not."""
        self.identity = f"{name_of(settings.identity)}_{secrets.token_hex(4)}"
        self.name = settings.lease
        self._api, self._settings, self._patience_s = api, settings, patience_s
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{api.namespace}/leases"
        self.path = f"{self._collection}/{settings.lease}"
        self._election = Election(self.identity, settings.duration_s, settings.renew_deadline_s)
        self._lock = threading.Lock()  # around the election's state; no call is made under it
        self._plan_url, self._found_url = plan_url, ""
        self._asked = clock()
        self._tried, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._said = ""

    def leads(self) -> bool:
        """Whether this process leads now. The first question waits until the Lease was tried for once."""
        self._asked = clock()
        if self._thread is None:
            self._tried.clear()
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
            self._thread.start()
            self._tried.wait()
        with self._lock:
            return self._election.leads(clock())

    @property
    def holder(self) -> str:
        """Who was last seen to hold the Lease; empty: nobody."""
        with self._lock:
            return self._election.seen.holder if self._election.seen is not None else ""

    def leader_url(self) -> str | None:
        """Where the other process that was last seen to hold the Lease tells its plan; None: nobody holds it, this
        process does, or the holder did not say."""
        with self._lock:
            seen, url = self._election.seen, self._found_url
        if seen is None or seen.holder in ("", self.identity):
            return None
        return url if url.startswith("http://") else None

    def resign(self) -> None:
        """Lets the next one lead at once: ends the thread, then empties the Lease's holder. Asked again, it takes part
        again."""
        with self._lock:
            self._election = self._election.resigned()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()  # the call in progress ends in time; its answer is not listened to any more
            self._release()

    def _run(self) -> None:
        while not self._stop.is_set():
            if clock() - self._asked > self._patience_s:
                self._give_up()
            else:
                try:
                    self._attempt()
                except Refused as error:
                    self._tell(f"the Lease {self._api.namespace}/{self.name} cannot be had: {error}")
                except Exception:  # else the thread would end, and with it the process's chance to lead
                    log.exception("an attempt at the Lease failed")
            self._tried.set()
            chance = random.random()  # noqa: S311 - so that candidates do not ask in step
            self._stop.wait(self._settings.retry_s * (1 + (RETRY_JITTER - 1) * chance))

    def _attempt(self) -> None:
        """Reads the Lease and claims it where that is allowed. Raises Refused."""
        found = self._read()
        with self._lock:
            before = self._election
            self._election = before.saw(clock(), _record(found))
            self._found_url = _annotations(found).get(PLAN_URL, "")
            claim = self._election.claim(clock(), micro_time(time.time()))
        if before.leads(clock()) and claim is None:
            log.warning("the Lease %s was taken by %s", self.name, self.holder)
        if claim is None or self._stop.is_set():
            return
        sent = clock()
        try:
            self._write(found, claim)
        except Refused as error:
            if error.conflict:
                return  # another was quicker: read again in the next period
            raise
        with self._lock:
            if not self._stop.is_set():
                self._election = self._election.wrote(sent, clock(), claim)
        self._tell("")

    def _give_up(self) -> None:
        with self._lock:
            held = self._election.leads(clock())
            self._election = self._election.resigned()
        if held:
            log.warning("no round for %g s: the Lease %s is let go", self._patience_s, self.name)
            self._release()

    def _release(self) -> None:
        """Empties the holder, where it is this process; without an answer the Lease runs out by itself."""
        try:
            found = self._read()
            with self._lock:
                self._election = self._election.saw(clock(), _record(found)).resigned()
                release = self._election.release(micro_time(time.time()))
            if found is not None and release is not None:
                self._write(found, release)
        except Refused as error:
            log.warning("the Lease %s runs out by itself: %s", self.name, error)

    def _read(self) -> dict[str, Any] | None:
        try:
            return self._api.get(self.path)
        except Refused as error:
            if error.missing:
                return None
            raise

    def _write(self, found: dict[str, Any] | None, record: Record) -> None:
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration_s,
            "acquireTime": record.acquired,
            "renewTime": record.renewed,
            "leaseTransitions": record.transitions,
        }
        told = {PLAN_URL: self._plan_url} if record.holder and self._plan_url else {}
        if found is None:
            head = {"name": self.name, "namespace": self._api.namespace, "labels": LABELS, "annotations": told}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": head, "spec": spec}
            self._api.create(self._collection, body)
        else:
            others = {name: text for name, text in _annotations(found).items() if name != PLAN_URL}
            head = {**found["metadata"], "annotations": {**others, **told}}
            self._api.replace(self.path, {**found, "metadata": head, "spec": {**(found.get("spec") or {}), **spec}})

    def _tell(self, words: str) -> None:
        """Once, and not every two seconds."""
        if words and words != self._said:
            log.warning("%s", words)
        self._said = words


def _annotations(found: dict[str, Any] | None) -> dict[str, str]:
    return dict(((found or {}).get("metadata") or {}).get("annotations") or {})


def _record(found: dict[str, Any] | None) -> Record | None:
    """A Lease's spec; what others left out or wrote wrongly is as good as empty."""
    if found is None:
        return None
    spec = found.get("spec") or {}
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        duration_s=int(spec.get("leaseDurationSeconds") or 0),
        acquired=str(spec.get("acquireTime") or ""),
        renewed=str(spec.get("renewTime") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
    )
