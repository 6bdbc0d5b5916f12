"""Worker groups: pods for planned replicas, a floor that Ray's autoscaler stands on, and which pods may go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaling.kubernetes.groups import Change, Group, Need, fixed, floored, per_pod, pods
from autoscaling.kubernetes.rayservice import groups

pytestmark = pytest.mark.unit

NODE = Group("gpu", 0, replicas=2, least=1, most=6, cpus=64, gpus=8)


def need(replicas: int, running: int | None = None, gpus: float = 4, settled: bool = True, model: str = "m") -> Need:
    return Need(model, replicas, replicas if running is None else running, 1, gpus, settled)


@pytest.mark.parametrize(
    ("gpus", "cpus", "fitting"), [(4, 1, 2), (8, 1, 1), (3, 1, 2), (16, 1, 0), (0, 1, 64), (1, 32, 2), (0, 0.1, 640)]
)
def test_replicas_of_a_pod(gpus: float, cpus: float, fitting: int) -> None:
    assert per_pod(replace(need(1), gpus=gpus, cpus=cpus), NODE) == fitting


def test_models_of_a_group_share_its_pods() -> None:
    assert pods([need(1)], NODE) == 1
    assert pods([need(3)], NODE) == 2
    assert pods([need(1), need(1, model="n")], NODE) == 1
    assert pods([need(3), need(3, gpus=8, model="n")], NODE) == 5  # 1.5 + 3
    assert pods([need(1, gpus=1, model=str(n)) for n in range(9)], NODE) == 2  # no error of rounding


def test_a_replica_that_fits_no_pod_is_said() -> None:
    with pytest.raises(ValueError, match=r"gpu \(64 CPUs, 8 GPUs\) holds no replica of m \(1 CPUs, 16 GPUs\)"):
        pods([need(1, gpus=16)], NODE)


def test_the_floor_rises_while_replicas_are_missing_and_goes_back_when_they_run() -> None:
    assert floored(NODE, 1, [need(8, running=4)]) == Change(least=4)
    assert floored(replace(NODE, least=4), 1, [need(8, running=4)]) == Change()
    assert floored(replace(NODE, least=4), 1, [need(8, running=8)]) == Change(least=1)
    assert floored(replace(NODE, least=4), 1, [need(2, running=5)]) == Change(least=1)  # the plan fell


def test_the_floor_stays_between_the_description_and_the_group_s_most() -> None:
    assert floored(NODE, 1, [need(40, running=4)]) == Change(least=6)
    assert floored(replace(NODE, least=3), 3, [need(2, running=1)]) == Change()


SIX = {f"pod-{n}": float(n) for n in range(6)}


def test_a_group_that_nobody_scales_grows_at_once() -> None:
    assert fixed(NODE, 1, [need(8, running=4, settled=False)], {}, set()) == Change(replicas=4)


def test_it_shrinks_by_pods_without_a_replica_the_youngest_first() -> None:
    group = replace(NODE, replicas=6)
    change = fixed(group, 1, [need(8)], SIX, {"pod-0", "pod-2", "pod-4", "pod-5"})
    assert change == Change(replicas=4, doomed=("pod-3", "pod-1"))


def test_it_never_takes_a_pod_that_a_replica_is_on() -> None:
    group = replace(NODE, replicas=6)
    assert fixed(group, 1, [need(2)], SIX, set(SIX)) == Change()
    assert fixed(group, 1, [need(2)], SIX, set(SIX) - {"pod-1"}) == Change(replicas=5, doomed=("pod-1",))


def test_nothing_shrinks_while_ray_serve_moves() -> None:
    assert fixed(replace(NODE, replicas=6), 1, [need(2, settled=False)], SIX, set()) == Change()


def test_pods_that_were_never_made_go_first_and_without_a_name() -> None:
    few = {"pod-0": 0.0, "pod-1": 1.0}
    assert fixed(replace(NODE, replicas=5), 1, [need(4)], few, {"pod-0", "pod-1"}) == Change(replicas=2)


def test_names_of_pods_that_are_gone_are_taken_back_before_more_are_named() -> None:
    doomed = replace(NODE, replicas=4, doomed=("pod-9",))
    assert fixed(doomed, 1, [need(8)], SIX, set(SIX)) == Change(doomed=())
    still = replace(NODE, replicas=6, doomed=("pod-1",))
    assert fixed(still, 1, [need(2)], SIX, set()) == Change()
    assert fixed(replace(doomed, replicas=2), 1, [need(8)], SIX, set()) == Change(replicas=4, doomed=())


@given(
    replicas=st.integers(0, 12),
    wanted=st.integers(0, 40),
    base=st.integers(0, 4),
    present=st.sets(st.integers(0, 11)),
    used=st.sets(st.integers(0, 11)),
    settled=st.booleans(),
)
def test_used_pods_and_bounds_are_safe_whatever_there_is(
    replicas: int, wanted: int, base: int, present: set[int], used: set[int], settled: bool
) -> None:
    group = replace(NODE, replicas=replicas, most=10)
    made = {f"pod-{n}": float(n) for n in present}
    busy = {f"pod-{n}" for n in used}
    change = fixed(group, base, [need(wanted, settled=settled)], made, busy)
    assert not set(change.doomed or ()) & busy
    assert set(change.doomed or ()) <= set(made)
    if change.replicas is not None:
        assert min(replicas, base) <= change.replicas <= max(replicas, 10)
        if change.replicas < replicas:
            assert settled
            # No more pods are left than are kept: KubeRay has none to choose from by itself.
            assert len(made) - len(change.doomed or ()) <= change.replicas


def test_nothing_shrinks_while_kuberay_takes_pods_away() -> None:
    assert fixed(replace(NODE, replicas=5), 1, [need(2)], SIX, set()) == Change()


def entry(**words: Any) -> dict[str, Any]:
    container = {"resources": {"limits": {"cpu": "3500m", "nvidia.com/gpu": "8"}, "requests": {"cpu": "1"}}}
    return {"groupName": "gpu", "template": {"spec": {"containers": [container]}}, **words}


def test_a_worker_group_as_kuberay_describes_it() -> None:
    told = groups({"workerGroupSpecs": [entry(replicas=2, minReplicas=1, maxReplicas=5, numOfHosts=1)]})["gpu"]
    assert told == Group("gpu", 0, replicas=2, least=1, most=5, cpus=4, gpus=8)


def test_what_ray_is_told_counts_before_the_container_s_limits() -> None:
    params = entry(rayStartParams={"num-cpus": "16", "num-gpus": "4"})
    told = groups({"workerGroupSpecs": [params]})["gpu"]
    assert (told.cpus, told.gpus) == (16, 4)
    stated = groups({"workerGroupSpecs": [{**params, "resources": {"CPU": "2"}}]})["gpu"]
    assert (stated.cpus, stated.gpus) == (2, 4)


def test_pods_to_delete_and_hosts_are_read() -> None:
    told = groups({"workerGroupSpecs": [entry(scaleStrategy={"workersToDelete": ["a"]}, numOfHosts=4)]})["gpu"]
    assert (told.doomed, told.hosts) == (("a",), 4)
    assert groups({}) == {}
