"""What of rendered objects is Ray's: RayServices, their applications, groups and pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from serve.fleet import Fleet, loader
from tests.support.helm import CHART, Object, named


def fleet_of(objects: list[Object]) -> Fleet:
    """The fleet that gateway and autoscaler read, which describes these engines too."""
    text = named(objects, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"]
    return loader.resolve(yaml.safe_load(text), "fleet.yaml", CHART)


def services(objects: list[Object]) -> dict[str, Object]:
    """RayServices by the fleet's cluster."""
    return {one["metadata"]["name"].removeprefix("parlance-"): one for one in objects if one["kind"] == "RayService"}


def applications(service: Object) -> dict[str, dict[str, Any]]:
    """Applications by their name, which is the model's id."""
    return {one["name"]: one for one in yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]}


def pods(service: Object) -> Iterator[tuple[str, Object]]:
    """Pod templates by their group; the head's is ""."""
    config = service["spec"]["rayClusterConfig"]
    yield "", config["headGroupSpec"]["template"]
    for group in config["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


def groups(service: Object) -> dict[str, Object]:
    """Worker groups by their name."""
    return {one["groupName"]: one for one in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]}


def environment(template: Object) -> dict[str, str]:
    """Variables of a pod's first container; none stands there twice."""
    listed = template["spec"]["containers"][0]["env"]
    names = [one["name"] for one in listed]
    assert len(names) == len(set(names)), "server-side apply refuses a name that stands twice"
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in listed}


def only(objects: list[Object]) -> Object:
    """The one RayService of a render."""
    (service,) = services(objects).values()
    return service
