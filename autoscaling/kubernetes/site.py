"""All that one autoscaler has to do with Kubernetes: its Lease, its memory, the RayServices of its clusters, events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from autoscaling.kubernetes import reports, upgrade, workers
from autoscaling.kubernetes.api import Api, connect, url_of
from autoscaling.kubernetes.events import Events, Subject
from autoscaling.kubernetes.groups import Need
from autoscaling.kubernetes.lease import Lease
from autoscaling.kubernetes.memory import ConfigMapMemory
from autoscaling.kubernetes.rayservice import Active, RayService, groups
from autoscaling.kubernetes.reports import Report
from autoscaling.plan import Plan, scaled
from autoscaling.published import Published
from autoscaling.ray_serve import Application, Failed
from autoscaling.relay import OWN
from autoscaling.snapshot import Snapshot
from serve.fleet import Fleet, Model
from serve.fleet.autoscaling_kubernetes import Kubernetes

log = logging.getLogger("parlance.autoscaler")

# Failures to patch a cluster's groups are tried again after so many seconds, twice as long each time, up to the last.
RETRY_S = (15.0, 300.0)


class Site:
    """What the controller asks Kubernetes. Calls block for a few calls of the API server's at most."""

    def __init__(self, fleet: Fleet, api: Api, settings: Kubernetes, patience_s: float) -> None:
        self.lease = Lease(api, settings, patience_s, url_of(fleet.autoscaling.port, OWN))
        self.memory = ConfigMapMemory(api, settings)
        self._fleet, self._api = fleet, api
        self._events = Events(api, self.lease.identity)
        self._services = {
            name: RayService(api, cluster.rayservice)
            for name, cluster in fleet.clusters.items()
            if cluster.rayservice is not None
        }
        self._active: dict[str, Active] = {}
        self._paused: dict[str, tuple[float, float]] = {}  # until when, and the next pause
        self._reported: Published | None = None

    def address(self, cluster: str) -> Callable[[], tuple[str, str]] | None:
        """What finds the dashboard's URL and token of a fleet's cluster; None where it is no RayService. It raises
        Failed."""
        service = self._services.get(cluster)
        if service is None:
            return None
        known = self._fleet.clusters[cluster]

        def find() -> tuple[str, str]:
            active = service.active()
            if (before := self._active.get(cluster)) is not None and before.name != active.name:
                log.info("%s: Ray cluster %s is active now, before: %s", cluster, active.name, before.name)
            self._active[cluster] = active
            self._events.forget(_subject(service), str(active.service["metadata"]["uid"]))
            own = known.token_env is not None or known.token_file is not None
            return active.url, "" if own else service.token(active)

        return find

    def took_over(self) -> None:
        """Tells that this process leads."""
        self._reported = None
        self._paused.clear()
        for subject in self._subjects():
            self._events.tell(subject, reports.took_over(self.lease.identity))

    def report(self, last: Published) -> None:
        """Tells what a round did."""
        for report in reports.reports(self._reported, last):
            model = self._fleet.model(report.model) if report.model is not None else None
            self._events.tell(self._about(model.cluster if model is not None else None), report)
        self._reported = last

    def workers(
        self, plan: Plan, snapshot: Snapshot, found: Mapping[str, dict[str, Application] | Failed]
    ) -> list[str]:
        """Lets worker groups follow the plan, and prepares the clusters of upgrades; what went wrong, in sentences. A
        cluster that does not answer keeps its groups as they are."""
        problems = []
        for name, service in self._services.items():
            apps, active = found.get(name), self._active.get(name)
            until, pause = self._paused.get(name, (0.0, RETRY_S[0]))
            if not isinstance(apps, dict) or active is None or time.monotonic() < until:
                continue
            try:
                needs = self._needs(name, plan, snapshot)
                self._tell(service, self._follow(active, needs, apps))
                self._tell(service, self._prepare(name, service, active, needs, plan))
            except (Failed, LookupError, TypeError, ValueError, AttributeError) as error:
                problems.append(str(error))
                self._paused[name] = time.monotonic() + pause, min(2 * pause, RETRY_S[1])
            else:
                self._paused.pop(name, None)
        return problems

    def _tell(self, service: RayService, said: list[Report]) -> None:
        for report in said:
            log.info("%s", report.note)
            self._events.tell(_subject(service), report)

    def _follow(self, active: Active, needs: Mapping[str, list[Need]], apps: Mapping[str, Application]) -> list[Report]:
        """The active cluster's groups. Raises Failed and what comes of objects of another shape."""
        if not needs:
            return []
        used = {place for app in apps.values() for place in app.places}
        if any(app.unplaced for app in apps.values()):
            needs = _moving(needs)
        base = groups(active.service["spec"]["rayClusterConfig"])
        return [reports.workers(words) for words in workers.follow(self._api, active, needs, used, base)]

    def _prepare(
        self, name: str, service: RayService, active: Active, needs: Mapping[str, list[Need]], plan: Plan
    ) -> list[Report]:
        """The cluster of an upgrade, where there is one: pods and replicas as the plan wants them. Raises as `_follow`
        does."""
        known = self._fleet.clusters[name]
        if known.rayservice is None or known.rayservice.upgrade_with != "planned":
            return []
        pending = service.pending(active)
        if pending is None:
            return []
        own = known.token_env is not None or known.token_file is not None
        said = upgrade.prepare(pending.url, "" if own else service.token(pending), self._fleet, name, plan)
        if needs:
            fresh = {group: [replace(need, running=0) for need in wanted] for group, wanted in _moving(needs).items()}
            base = groups(active.service["spec"]["rayClusterConfig"])
            said += workers.follow(self._api, pending, fresh, set(), base)
        return [reports.upgrade(words) for words in said]

    def close(self) -> None:
        """Writes the events that wait, within a call's time."""
        self._events.close(self._fleet.autoscaling.timeout_s)

    def _needs(self, cluster: str, plan: Plan, snapshot: Snapshot) -> dict[str, list[Need]]:
        """By worker group; a group is left out while the replicas of one of its models are not known."""
        ref = self._fleet.clusters[cluster].rayservice
        assert ref is not None
        out: dict[str, list[Need]] = {}
        unknown = set()
        for model in scaled(self._fleet):
            group = ref.worker_groups.get(model.id)
            if model.cluster != cluster or group is None:
                continue
            need = _need(model, plan, snapshot)
            if need is None:
                unknown.add(group)
            else:
                out.setdefault(group, []).append(need)
        return {group: needs for group, needs in out.items() if group not in unknown}

    def _about(self, cluster: str | None) -> Subject:
        service = self._services.get(cluster or "")
        return _subject(service) if service is not None else self._lease_subject()

    def _subjects(self) -> list[Subject]:
        return [self._lease_subject(), *map(_subject, self._services.values())]

    def _lease_subject(self) -> Subject:
        return Subject(self.lease.path, "Lease", "coordination.k8s.io/v1", self._api.namespace, self.lease.name)


def open_site(fleet: Fleet, settings: Kubernetes, patience_s: float) -> Site:
    """The site that the fleet describes. Raises LocalError where no cluster is known."""
    api = connect(settings.namespace, fleet.autoscaling.timeout_s)
    site = Site(fleet, api, settings, patience_s)
    log.info("Kubernetes: Lease %s/%s, as %s", api.namespace, settings.lease, site.lease.identity)
    return site


def _need(model: Model, plan: Plan, snapshot: Snapshot) -> Need | None:
    """What a model's plan asks of its group; None where its replicas are not known. More than the plan's pace allows is
    wanted of pods already: nodes take longer than replicas."""
    planned, replicas = plan.models[model.id], snapshot.model(model.id).replicas
    if planned.wanted is None or replicas is None:
        return None
    assert model.engine is not None
    engine = model.engine
    ahead = min(planned.needed, planned.most) if planned.needed is not None else 0
    settled = (
        replicas.target == replicas.running == planned.wanted
        and not replicas.starting
        and not replicas.draining
        and not replicas.changing
    )
    gpus = float(engine.workers) if engine.device == "gpu" else 0.0
    wanted = max(planned.wanted, ahead)
    return Need(model.id, wanted, replicas.running, engine.cpus_per_replica, gpus, settled)


def _moving(needs: Mapping[str, list[Need]]) -> dict[str, list[Need]]:
    """The same, while nobody knows yet where a replica will be."""
    return {group: [replace(need, settled=False) for need in wanted] for group, wanted in needs.items()}


def _subject(service: RayService) -> Subject:
    return Subject(service.path, "RayService", "ray.io/v1", service.namespace, service.name)
