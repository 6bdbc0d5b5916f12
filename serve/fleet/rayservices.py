"""What is wrong with the RayServices that clusters name: checks that need the whole fleet."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from serve.errors import Problem
from serve.fleet.description import FleetFile, Model
from serve.fleet.problems import shown


def problems(file: FleetFile, models: Collection[Model], absent: Collection[str]) -> Iterator[Problem]:
    """Each problem; `absent` are names of models that could not be read, and are no further problem."""
    taken: dict[tuple[str | None, str], str] = {}
    for name, cluster in file.clusters.items():
        service = cluster.rayservice
        if service is None:
            continue
        path = f"clusters.{name}.rayservice"
        if file.autoscaling.kubernetes is None:
            yield Problem(path, shown(service.name), "needs autoscaling.kubernetes: `{}` takes its defaults")
        if (other := taken.setdefault((service.namespace, service.name), name)) != name:
            yield Problem(f"{path}.name", shown(service.name), f"is that of clusters.{other}: one cluster each")
        runs = {model.id for model in models if model.cluster == name}
        for model in service.worker_groups:
            if model not in runs and model not in absent:
                known = ", ".join(sorted(runs)) or "none"
                yield Problem(f"{path}.worker_groups", shown(model), f"a model that runs on this cluster: {known}")
