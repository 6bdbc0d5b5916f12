"""The cluster that an upgrade prepares is given the replicas that run now, before requests come to it.

KubeRay deploys `serveConfigV2` on it, with the number of replicas that stands there, and switches once its applications
run. One that was scaled while it was being deployed runs once all of its replicas do: so the switch waits for them, and
load that many replicas carried does not fall on the few of the file for the length of a cold start.
"""

from __future__ import annotations

from autoscaling.plan import Plan, scaled
from autoscaling.ray_serve import Failed, RayServe
from serve.fleet import Fleet


def prepare(url: str, token: str, fleet: Fleet, cluster: str, plan: Plan) -> list[str]:
    """Asks the cluster whose dashboard is at `url` for as many replicas as are wanted; what was asked, in sentences.

    One whose dashboard does not answer yet is asked in a later round. Raises Failed where it refuses to scale.
    """
    serve = RayServe(fleet.clusters[cluster], fleet.autoscaling.timeout_s, lambda: (url, token))
    try:
        apps = serve.applications()
    except Failed:
        return []
    said = []
    for model in scaled(fleet):
        app, wanted = apps.get(model.id), plan.models[model.id].wanted
        if model.cluster == cluster and app is not None and wanted is not None and app.replicas.target != wanted:
            serve.scale(app, wanted)
            said.append(f"{model.id}: {app.replicas.target} -> {wanted} replicas on the cluster of an upgrade ({url})")
    return said
