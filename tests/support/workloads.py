"""What tests read of a rendered workload: its pod, its container, and what restricted pod security asks of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.helm import Object, named

DOWN = ("Deployment", "StatefulSet", "DaemonSet", "Job")
ALLOWED_VOLUMES = {"configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim", "ephemeral"}


def pod(objects: Iterable[Object], name: str, kind: str = "Deployment") -> Object:
    """The pod template of a workload."""
    found: Object = named(objects, kind, name)["spec"]["template"]
    return found


def container(objects: Iterable[Object], name: str) -> Object:
    """The only container of a Deployment's pod."""
    (one,) = pod(objects, name)["spec"]["containers"]
    found: Object = one
    return found


def templates(objects: Iterable[Object]) -> dict[str, Any]:
    """By `Kind/name`, what makes pods anew when it changes: pod templates, and of a RayService all of it, for
    replicas restart with their applications."""
    out = {}
    for one in objects:
        key = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] in DOWN:
            out[key] = one["spec"]["template"]
        elif one["kind"] == "RayService":
            out[key] = one["spec"]
    return out


def rolled(before: Iterable[Object], after: Iterable[Object]) -> set[str]:
    """What a change between two renders makes anew."""
    old, new = templates(before), templates(after)
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def unrestricted(template: Object) -> list[str]:
    """What restricted pod security, with a read-only root beside it, has to object to in a pod template."""
    spec = template["spec"]
    own = spec.get("securityContext", {})
    wrong = [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    wrong += [] if own.get("runAsNonRoot") is True else ["the pod may run as root"]
    wrong += [] if own.get("seccompProfile", {}).get("type") == "RuntimeDefault" else ["no seccomp profile"]
    wrong += [f"volume {volume['name']}" for volume in spec.get("volumes", ()) if not ALLOWED_VOLUMES & volume.keys()]
    for one in [*spec["containers"], *spec.get("initContainers", ())]:
        context = one.get("securityContext", {})
        asked = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        wrong += [f"{one['name']}: {key}" for key, value in asked.items() if context.get(key) != value]
        wrong += [f"{one['name']}: a port of the node" for port in one.get("ports", ()) if "hostPort" in port]
    return wrong
