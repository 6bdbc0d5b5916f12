"""KubeRay's worker groups follow the plan: pods for planned replicas, and none that a replica is on is taken away."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from autoscaling.kubernetes.api import Api, Refused
from autoscaling.kubernetes.groups import Change, Group, Need, ceiling, fixed, floored, left
from autoscaling.kubernetes.rayservice import RAY, Active, groups
from autoscaling.ray_serve import Failed

log = logging.getLogger("parlance.autoscaler")


def follow(
    api: Api, active: Active, needs: Mapping[str, Sequence[Need]], used: Collection[str], base: Mapping[str, Group]
) -> list[str]:
    """Patches the worker groups of the active cluster; what was changed, in sentences.

    `needs` are by group; `used` names pods and addresses where a Serve replica is; `base` are the groups as the
    RayService describes them: a floor goes back to their `minReplicas`, and their `maxReplicas` is carried over. The
    RayCluster is patched and not the RayService, because KubeRay carries no replica counts from the one to the
    other, and a RayService in git stays as it was written. Raises Failed.
    """
    said: list[str] = []
    operations: list[dict[str, Any]] = []
    try:
        found = groups(active.cluster["spec"])
        for name, wanted in needs.items():
            group = found.get(name)
            if group is None:
                raise Failed(
                    f"Ray cluster {active.name} has no worker group {name}: it has {', '.join(found) or 'none'}"
                )
            if group.hosts != 1:
                raise Failed(
                    f"worker group {name} has replicas of {group.hosts} pods each: only single pods are scaled"
                )
            own = base.get(name, group)
            most = ceiling(group, own.most)
            bounded = replace(group, most=most)
            if active.scales_itself:
                change = floored(bounded, own.least, wanted)
            else:
                change = fixed(bounded, own.least, wanted, *_pods(api, active, name, used))
            if most != group.most:
                change = replace(change, most=most)
            operations += _operations(group, change)
            said += _words(active, group, change)
        for group in left(found, base) if active.scales_itself else ():
            operations += _operations(group, Change(least=0))
            said.append(f"{active.name}: worker group {group.name} keeps no pods: the RayService has it no more")
        if operations:
            meta = active.cluster["metadata"]
            path = f"{RAY}/{meta['namespace']}/rayclusters/{active.name}"
            test = {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]}
            api.patch(path, [test, *operations])
    except Refused as error:
        if error.conflict:
            log.info("Ray cluster %s was changed by another; its groups are looked at again next round", active.name)
            return []
        raise Failed(str(error)) from error
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise Failed(f"worker groups of Ray cluster {active.name}: {error}") from error
    return said


def _operations(group: Group, change: Change) -> list[dict[str, Any]]:
    path = f"/spec/workerGroupSpecs/{group.index}"
    out: list[dict[str, Any]] = []
    if change.most is not None:
        out.append({"op": "add", "path": f"{path}/maxReplicas", "value": change.most})
    if change.least is not None:
        out.append({"op": "add", "path": f"{path}/minReplicas", "value": change.least})
    if change.replicas is not None:
        out.append({"op": "add", "path": f"{path}/replicas", "value": change.replicas})
    if change.doomed is not None:
        out.append({"op": "add", "path": f"{path}/scaleStrategy", "value": {"workersToDelete": list(change.doomed)}})
    return out


def _words(active: Active, group: Group, change: Change) -> list[str]:
    out = []
    if change.most is not None:
        out.append(f"{active.name}: worker group {group.name} may have {change.most} pods (before: {group.most})")
    if change.least is not None:
        out.append(
            f"{active.name}: worker group {group.name} keeps at least {change.least} pods (before: {group.least})"
        )
    if change.replicas is not None:
        gone = f", without {', '.join(change.doomed)}, where no replica is" if change.doomed else ""
        out.append(
            f"{active.name}: worker group {group.name} has {change.replicas} pods (before: {group.replicas}){gone}"
        )
    return out


def _pods(api: Api, active: Active, group: str, used: Collection[str]) -> tuple[dict[str, float], set[str]]:
    """The group's pods that are not being deleted, with the time each was made; and those where a replica is."""
    namespace = active.cluster["metadata"]["namespace"]
    labels = f"ray.io%2Fcluster%3D{active.name}%2Cray.io%2Fgroup%3D{group}%2Cray.io%2Fnode-type%3Dworker"
    listed = api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={labels}")["items"]
    made, busy = {}, set()
    for pod in listed:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            continue
        name = str(meta["name"])
        made[name] = datetime.fromisoformat(meta["creationTimestamp"]).timestamp()
        if name in used or (pod.get("status") or {}).get("podIP") in used:
            busy.add(name)
    return made, busy
