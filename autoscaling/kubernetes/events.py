"""Events (events.k8s.io/v1) on RayServices and the Lease: `kubectl describe rayservice` tells what was done, and why.

They are written by a thread of their own, so that no round waits for them; what does not fit its queue is lost, and
nothing but a line in the log rests on an event. The newer API is used for its `action` and its series, which `kubectl`
shows as counts; `core/v1` shows the same objects.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoscaling.kubernetes.api import Api, Refused, micro_time
from autoscaling.kubernetes.reports import Report
from autoscaling.kubernetes.series import Series, Told

log = logging.getLogger("parlance.autoscaler")

CONTROLLER = "parlance.dev/autoscaler"
MERGE_PATCH = "application/merge-patch+json"
# The API server's limit for a note.
LONGEST_NOTE = 1024
WAITING = 128


@dataclass(frozen=True, slots=True)
class Subject:
    """An object that events are about, and where it is read: an event names its uid too."""

    path: str
    kind: str
    version: str
    namespace: str
    name: str


class Events:
    """Writes events one after the other."""

    def __init__(self, api: Api, instance: str) -> None:
        self._api, self._instance = api, instance[:128]
        self._series: dict[Subject, Series] = {}
        self._regarding: dict[Subject, Mapping[str, Any]] = {}
        self._queue: queue.Queue[tuple[Subject, Report, float] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._said = ""

    def tell(self, subject: Subject, report: Report) -> None:
        """Has it written soon. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="events", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait((subject, report, time.time()))
        except queue.Full:
            self._tell("the API server is slow: events are lost")

    def close(self, within_s: float) -> None:
        """Writes what waits, for so long at most."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                return
            thread.join(within_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            subject, report, wall = item
            try:
                self._write(subject, report, wall)
                self._said = ""
            except Refused as error:
                self._tell(f"no event of {subject.kind} {subject.namespace}/{subject.name}: {error}")
            except Exception:  # an event is never worth a thread
                log.exception("an event could not be written")

    def _write(self, subject: Subject, report: Report, wall: float) -> None:
        """Creates the event, counts the one before once more, or leaves it out. Raises Refused."""
        now = time.monotonic()
        series = self._series.get(subject, Series(at=now)).spent(now)
        if series is None:
            self._tell(f"too many events of {subject.kind} {subject.namespace}/{subject.name}: some are left out")
            return
        self._series[subject] = series
        path = f"/apis/events.k8s.io/v1/namespaces/{subject.namespace}/events"
        again = series.again(now, report)
        if again is not None:
            body = {"series": {"count": again.count, "lastObservedTime": micro_time(wall)}}
            try:
                self._api.call("PATCH", f"{path}/{again.name}", body, MERGE_PATCH)
                self._series[subject] = series.after(report, again)
                return
            except Refused as error:
                if not error.missing:  # events live for an hour
                    raise
        name = f"{subject.name[:200]}.{secrets.token_hex(8)}"
        self._api.create(path, self._event(name, subject, report, wall))
        self._series[subject] = series.after(report, Told(name, 1, now))

    def _event(self, name: str, subject: Subject, report: Report, wall: float) -> dict[str, Any]:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": subject.namespace},
            "eventTime": micro_time(wall),
            "type": "Warning" if report.warning else "Normal",
            "reason": report.reason,
            "action": report.action,
            "note": _cut(report.note),
            "regarding": self._reference(subject),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
        }

    def _reference(self, subject: Subject) -> Mapping[str, Any]:
        """With the uid: `kubectl describe` asks for it. An object made anew under its name has another."""
        known = self._regarding.get(subject)
        if known is None:
            uid = self._api.get(subject.path)["metadata"]["uid"]
            known = {
                "apiVersion": subject.version,
                "kind": subject.kind,
                "namespace": subject.namespace,
                "name": subject.name,
                "uid": uid,
            }
            self._regarding[subject] = known
        return known

    def forget(self, subject: Subject, uid: str) -> None:
        """Drops what was known of an object that is there anew."""
        known = self._regarding.get(subject)
        if known is not None and known["uid"] != uid:
            self._regarding.pop(subject, None)

    def _tell(self, words: str) -> None:
        if words != self._said:
            log.warning("%s", words)
        self._said = words


def _cut(note: str) -> str:
    """Within the limit, which counts bytes."""
    data = note.encode()
    return note if len(data) <= LONGEST_NOTE else data[: LONGEST_NOTE - 4].decode(errors="ignore") + "…"
