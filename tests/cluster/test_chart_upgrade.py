"""What an upgrade writes, on a real API server with KubeRay's operator: a price no engine, an engine's setting its own
application, nothing where nothing changed, and a rollback what stood there before."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import Object, Space, needed
from tests.support.helm import CHART
from tests.support.releases import PLAYED, Release, generations, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PRICE = {"input_usd_per_mtok": 0.07, "output_usd_per_mtok": 0.09}
CHEAPER = {**PLAYED, "models": {"eurollm-9b-instruct": {"price": PRICE}}}
SHORTER = {**PLAYED, "models": {"eurollm-9b-instruct": {"engine": {"max_model_len": 2048}}}}
READERS = {"Deployment/parlance-gateway", "Deployment/parlance-autoscaler"}
"""Who reads the fleet, and rolls when it changes."""
SUZUME = "suzume-llama-3-8b-multilingual"
FLEET, SERVICE, KEYS = "ConfigMap/parlance-fleet", "RayService/parlance-main", "Secret/parlance-keys"


@pytest.fixture
def release(space: Space) -> Release:
    made = Release(space)
    made.install(values=PLAYED)
    return made


def applications(objects: dict[str, Object]) -> dict[str, Any]:
    """What the RayService tells Ray Serve, by application."""
    config = yaml.safe_load(objects[SERVICE]["spec"]["serveConfigV2"])
    return {one["name"]: one for one in config["applications"]}


def made_by_kuberay(space: Space, pods: int) -> dict[str, Any]:
    """The RayCluster with its generation, and its pods, by name and uid, when so many are there."""
    selector = ("-l", "ray.io/cluster")
    space.until(f"{pods} Ray pods", lambda: len(space.names("pods", *selector)) >= pods)
    clusters = {one["metadata"]["uid"]: one["metadata"]["generation"] for one in space.get("rayclusters")}
    return {**clusters, **{one["metadata"]["uid"]: one["metadata"]["name"] for one in space.get("pods", *selector)}}


@pytest.mark.parametrize("server_side", ["true", "false"])
def test_an_upgrade_that_changes_nothing_writes_nothing(space: Space, server_side: str) -> None:
    """The generated key stays too: it is looked up."""
    release = Release(space)
    release.install(f"--server-side={server_side}", values=PLAYED)
    before = release.live()
    assert before[KEYS]["data"]
    assert release.upgrade(f"--server-side={server_side}", values=PLAYED).warnings == []
    assert written(before, release.live()) == set()


@pytest.mark.usefixtures("operator")
def test_a_price_reaches_gateway_and_autoscaler_and_no_engine(release: Release) -> None:
    before = release.live()
    groups = before[SERVICE]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    engines = made_by_kuberay(release.space, 1 + sum(group["replicas"] for group in groups))
    release.upgrade(values=CHEAPER)
    after = release.live()
    assert written(before, after) == {FLEET, *READERS}
    assert after[FLEET]["data"] != before[FLEET]["data"]
    told = yaml.safe_load(after[FLEET]["data"]["fleet.yaml"])
    (price,) = [model["price"] for model in told["models"] if model["use"] == "eurollm-9b-instruct"]
    assert price == PRICE
    deployments = generations(before, "Deployment")
    changed = {key for key, value in generations(after, "Deployment").items() if value != deployments[key]}
    assert changed == READERS
    assert made_by_kuberay(release.space, len(engines) - 1) == engines


@pytest.mark.usefixtures("played")
def test_gateways_roll_without_being_fewer(space: Space) -> None:
    """A new pod is ready before an old one ends."""
    release, two = Release(space), {"gateway": {**PLAYED["gateway"], "autoscaling": {"enabled": False}, "replicas": 2}}
    release.install(values={**PLAYED, **two})
    wait = ("rollout", "status", "deployment/parlance-gateway", "--timeout=150s")
    space.kubectl(*wait)
    strategy = release.live()["Deployment/parlance-gateway"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    pods = ("pods", "-l", "app.kubernetes.io/component=gateway")
    before = space.names(*pods)
    assert len(before) == 2
    release.upgrade(values={**CHEAPER, **two})
    space.kubectl(*wait)
    space.until("two others", lambda: len(now := space.names(*pods)) == 2 and not now & before)


@pytest.mark.usefixtures("operator")
def test_an_engine_s_setting_changes_its_own_application_and_a_rollback_brings_the_former_back(
    release: Release,
) -> None:
    before = release.live()
    engines = made_by_kuberay(release.space, 2)
    release.upgrade(values=SHORTER)
    after = release.live()
    assert written(before, after) == {FLEET, SERVICE, *READERS}
    assert after[SERVICE]["metadata"]["generation"] == before[SERVICE]["metadata"]["generation"] + 1
    assert after[SERVICE]["spec"]["rayClusterConfig"] == before[SERVICE]["spec"]["rayClusterConfig"]
    was, now = applications(before), applications(after)
    assert {name for name in was if was[name] != now[name]} == {"eurollm-9b-instruct"}
    assert now["eurollm-9b-instruct"]["args"]["model"]["engine"]["max_model_len"] == 2048

    release.rollback(1)
    back = release.live()
    for key, one in before.items():
        for part in ("spec", "data", "rules", "subjects"):
            assert back[key].get(part) == one.get(part), f"{key}: {part}"
    assert written({KEYS: before[KEYS]}, {KEYS: back[KEYS]}) == set()
    clusters = {one["metadata"]["uid"] for one in release.space.get("rayclusters")}
    assert clusters <= engines.keys(), "KubeRay has made a second cluster"


def packaged(folder: Path, *versions: str) -> Path:
    """The chart as it is released, under another version."""
    done = subprocess.run(
        [needed("helm"), "package", CHART, "--destination", folder, *versions],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (package,) = folder.glob("*.tgz")
    return package


def test_a_new_version_of_the_chart_rolls_nothing_of_itself(release: Release, tmp_path: Path) -> None:
    """Selectors never change, or the API server would refuse; no pod knows the chart's version."""
    before = release.live()
    newer = Release(release.space, chart=packaged(tmp_path, "--version", "99.0.0"))
    newer.upgrade(values=PLAYED)
    after = newer.live()
    assert after.keys() == before.keys()
    for key, one in after.items():
        assert one["metadata"]["labels"]["helm.sh/chart"] == "parlance-99.0.0", key
        assert one["metadata"].get("generation") == before[key]["metadata"].get("generation"), key
    assert after[KEYS]["data"] == before[KEYS]["data"]


def test_a_new_version_of_the_programs_rolls_what_runs_them(release: Release, tmp_path: Path) -> None:
    before = release.live()
    newer = Release(release.space, chart=packaged(tmp_path, "--version", "99.0.0", "--app-version", "99.0.0"))
    newer.upgrade(values=PLAYED)
    after = newer.live()
    for key in READERS:
        assert after[key]["metadata"]["generation"] > before[key]["metadata"]["generation"]
        (container,) = after[key]["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(":99.0.0")
        assert after[key]["spec"]["selector"] == before[key]["spec"]["selector"]
    rolled = {
        key
        for key, value in generations(after, "Deployment").items()
        if value != generations(before, "Deployment")[key]
    }
    assert rolled == READERS


def test_a_replica_of_other_gpus_is_refused_where_its_pods_stay_as_they_are(release: Release) -> None:
    """Ray Serve would start it in pods of the old size."""
    wider = {**PLAYED, "models": {SUZUME: {"engine": {"tensor_parallel": 2}}}}
    before = release.live()
    refused = release.try_helm("upgrade", values=wider)
    assert refused.status != 0
    assert "2 GPUs a replica" in refused.err
    assert "set engines.upgrade to NewCluster" in refused.err
    assert written(before, release.live()) == set()
    asked = release.try_helm(
        "upgrade", "--dry-run=server", values={**wider, "engines": {**PLAYED["engines"], "upgrade": "NewCluster"}}
    )
    assert asked.status == 0, asked.err
    release.space.kubectl("delete", "rayservice", "parlance-main", "--wait")
    release.upgrade(values=wider)
    groups = release.live()[SERVICE]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert {group["groupName"]: group["rayStartParams"]["num-gpus"] for group in groups}[SUZUME] == "2"
