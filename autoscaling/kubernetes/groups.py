"""How many pods a worker group should have, and which may go: pure arithmetic over records.

With Ray's in-tree autoscaler `replicas` and `workersToDelete` are its own, and `minReplicas` is a floor under what it
does: only the floor is moved, up while planned replicas have no pod yet, and back once they run. Without it both are
ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor


@dataclass(frozen=True, slots=True)
class Group:
    """One entry of a RayCluster's `workerGroupSpecs`, at `index`. `cpus` and `gpus` are a pod's, as Ray counts them;
    `doomed` are the pods in `scaleStrategy.workersToDelete`; a replica of the group is `hosts` pods."""

    name: str
    index: int
    replicas: int
    least: int
    most: int
    cpus: float
    gpus: float
    doomed: tuple[str, ...] = ()
    hosts: int = 1


@dataclass(frozen=True, slots=True)
class Need:
    """A model's replicas that pods are wanted for: what the plan wants or, beyond its pace, needs; those that run; what
    one reserves in Ray. `settled`: Ray Serve is moving nothing of it, and has been told what the plan wants."""

    model: str
    replicas: int
    running: int
    cpus: float
    gpus: float
    settled: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What a group is to become; None: stays as it is."""

    least: int | None = None
    replicas: int | None = None
    doomed: tuple[str, ...] | None = None
    most: int | None = None


def ceiling(group: Group, base: int) -> int:
    """The group's `maxReplicas` as the RayService describes it (`base`), and never fewer than it has already: KubeRay
    would delete the others at once, whatever runs on them."""
    return max(base, group.replicas)


def left(found: Mapping[str, Group], described: Collection[str]) -> list[Group]:
    """Groups of the running cluster that the RayService has no more, and that keep pods all the same: KubeRay takes a
    group away with the cluster only."""
    return [group for name, group in found.items() if described and name not in described and group.least > 0]


def per_pod(need: Need, group: Group) -> int:
    """Replicas of a model that fit into one pod of the group."""
    room = [floor(group.cpus / need.cpus + 1e-9)] if need.cpus else []
    if need.gpus:
        room.append(floor(group.gpus / need.gpus + 1e-9))
    return min(room, default=0)


def pods(needs: Collection[Need], group: Group) -> int:
    """Pods that hold all replicas, packed as tightly as they could be: no more than are certainly needed.

    Raises ValueError where a pod holds no replica of a model.
    """
    share = Fraction(0)
    for need in needs:
        fitting = per_pod(need, group)
        if not fitting:
            raise ValueError(
                f"a pod of worker group {group.name} ({group.cpus:g} CPUs, {group.gpus:g} GPUs) holds no replica of "
                f"{need.model} ({need.cpus:g} CPUs, {need.gpus:g} GPUs)"
            )
        share += Fraction(need.replicas, fitting)
    return ceil(share)


def floored(group: Group, base: int, needs: Collection[Need]) -> Change:
    """The floor under Ray's autoscaler. `base` is the RayService's own `minReplicas`.

    Raises ValueError as `pods` does.
    """
    asked = pods(needs, group)
    up = all(need.running >= need.replicas for need in needs)
    least = base if up else max(base, min(asked, group.most))
    return Change(least=least) if least != group.least else Change()


def fixed(
    group: Group, base: int, needs: Collection[Need], present: Mapping[str, float], used: Collection[str]
) -> Change:
    """The group's size where nobody else sets it.

    `present` are the group's pods, with the time each was made; `used` those where a Serve replica is. It grows at
    once, and shrinks by pods without a replica only, by name, the youngest first, once Ray Serve is moving nothing.
    Raises ValueError as `pods` does.
    """
    wanted = max(base, min(pods(needs, group), group.most))
    gone = () if group.doomed and not set(group.doomed) & set(present) else None
    if wanted > group.replicas:
        return Change(replicas=wanted, doomed=() if group.doomed else None)
    moving = not all(need.settled for need in needs)
    going = len(present) > group.replicas or (group.doomed and gone is None)  # KubeRay is taking pods away already
    if wanted == group.replicas or moving or going:
        return Change(doomed=gone)
    surplus = group.replicas - wanted
    never_made = min(surplus, max(group.replicas - len(present), 0))
    free = sorted(set(present) - set(used), key=lambda name: (-present[name], name))
    named = tuple(free[: surplus - never_made])
    if not never_made and not named:
        return Change(doomed=gone)
    return Change(replicas=group.replicas - never_made - len(named), doomed=named or gone)
