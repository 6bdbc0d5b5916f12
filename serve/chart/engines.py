"""Values of the Ray clusters: one RayService for each of the fleet's, a worker group for each model with an engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from serve.chart.parts import Name, Part, Placed, Quantity, Resources, SecretKey, Url, Verbatim


class Head(Placed):
    """Ray's head: control only, no engine."""

    resources: Resources = Resources(requests={"cpu": "2", "memory": "8Gi"}, limits={"memory": "8Gi"})


class Workers(Placed):
    """Pods that hold one replica of a model each. GPUs follow from the fleet's engine."""

    resources: Resources = Field(
        default=Resources(requests={"cpu": "8", "memory": "64Gi"}, limits={"memory": "64Gi"}),
        description="Without GPUs: those are added. CPUs are for vLLM's processes, memory for loading weights.",
    )
    shared_memory: Quantity = Field(
        default="16Gi", description="Of /dev/shm, for tensor parallel; it counts as memory."
    )
    runtime_class_name: Name = Field(
        default="",
        description="A RuntimeClass that is there: `nvidia`, where nodes do not give GPUs to every container.",
    )


class Group(Part):
    """What differs for one model; what is not given here is that of `workers`."""

    resources: Resources | None = Field(default=None, description="Without GPUs.")
    shared_memory: Quantity | None = Field(default=None, description="Of /dev/shm.")
    node_selector: dict[str, str] | None = Field(default=None, description="Labels that a node must have.")
    tolerations: list[Verbatim] | None = Field(default=None, description="Taints that pods tolerate.")
    affinity: Verbatim | None = Field(default=None, description="Affinity to nodes and pods, as in a pod.")
    priority_class_name: Name | None = Field(default=None, description="A PriorityClass that is there.")
    runtime_class_name: Name | None = Field(default=None, description="A RuntimeClass that is there.")
    pod_labels: dict[str, str] | None = Field(default=None, description="Further labels of the pods.")
    pod_annotations: dict[str, str] | None = Field(default=None, description="Annotations of the pods.")


class WeightsCache(Part):
    """Where models' weights lie. What is already there is not downloaded again."""

    kind: Literal["emptyDir", "persistentVolumeClaim", "hostPath"] = Field(
        default="emptyDir", description="Of the pod, one claim shared by all pods, or a folder of each node."
    )
    existing_claim: Name = Field(default="", description="A claim that is there. Empty: the chart makes one.")
    storage_class_name: str = Field(default="", description="Empty: the cluster's default.")
    access_modes: list[Literal["ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany"]] = Field(
        default=["ReadWriteMany"], description="Of the chart's claim. ReadWriteOnce keeps all pods on one node."
    )
    size: Quantity = Field(default="500Gi", description="Of the chart's claim, or the limit of an emptyDir.")
    host_path: str = Field(
        default="",
        description="The folder, for hostPath. Restricted pod security forbids it: the namespace must allow it.",
    )
    keep: bool = Field(default=True, description="The chart's claim stays when the release is uninstalled.")
    download: bool = Field(
        default=True, description="An init container fetches what is missing. Off: it must be there."
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "500m", "memory": "2Gi"}, limits={"memory": "4Gi"}),
        description="Of the init container that downloads.",
    )


class Hub(Part):
    """Where weights come from."""

    token: SecretKey = Field(
        default=SecretKey(key="token"),
        description="A Secret with the hub's token (HF_TOKEN), for gated weights: Llama, Gemma, EuroLLM.",
    )
    endpoint: Url = Field(default="", description="HF_ENDPOINT: a mirror's URL. Empty: the hub's own.")


class Token(Part):
    """What Ray's dashboards, GCS and clients ask for."""

    existing_secret: Name = Field(
        default="",
        description="A Secret with the key auth_token, for all Ray clusters. Empty: KubeRay makes one for each, with a "
        "name that is not known before, so that the autoscaler may get every Secret of the namespace.",
    )


class Redis(Part):
    """Where GCS keeps its state, so that a head that restarts finds its cluster: workers and streams go on."""

    enabled: bool = Field(default=False, description="Off: a head that restarts takes its cluster with it.")
    address: str = Field(default="", description="`redis://host:6379`, or `rediss://…` for TLS. Needed when enabled.")
    password: SecretKey = Field(default=SecretKey(key="password"), description="A Secret with Redis' password.")
    username: str = Field(default="", description="Redis' user. Empty: `default`.")
    external_storage_namespace: str = Field(default="", description="Empty: KubeRay's own, by the cluster's UID.")


class RayAutoscaler(Part):
    """Ray's own autoscaler, a sidecar of the head: it makes pods for the replicas that are called for."""

    idle_timeout_seconds: int = Field(default=60, ge=1, description="After which a pod without a replica goes.")
    resources: Resources = Resources(requests={"cpu": "200m", "memory": "512Mi"}, limits={"memory": "1Gi"})


class Engines(Part):
    """Ray Serve with vLLM."""

    ray_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = Field(
        default="2.60.0", description="The image's Ray, for KubeRay."
    )
    upgrade: Literal["None", "NewCluster"] = Field(
        default="None",
        description="When pods of Ray change (image, resources): NewCluster starts a second cluster and switches, with "
        "GPUs for both; None leaves the running one, and new pods come with the next one. Models are deployed in place "
        "either way.",
    )
    gpu_resource: str = Field(
        default="nvidia.com/gpu", description="What nodes call their GPUs: `amd.com/gpu` for MI300X."
    )
    gpu_node_selectors: dict[str, dict[str, str]] = Field(
        default={},
        description="Node labels by the fleet's GPU name: needed where nodes have different GPUs. "
        "`H100-SXM-80GB: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}`",
    )
    head: Head = Head()
    workers: Workers = Workers(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}])
    groups: dict[str, Group] = Field(
        default={},
        description="What differs for one model, by its id; the rest is that of `workers`. "
        "`llama-3.3-70b-instruct: {sharedMemory: 32Gi}`",
    )
    weights: WeightsCache = WeightsCache()
    hub: Hub = Hub()
    token: Token = Token()
    fault_tolerance: Redis = Redis()
    ray_autoscaler: RayAutoscaler = RayAutoscaler()
    env: list[Verbatim] = Field(default=[], description="Further environment of all Ray pods.")
