"""The autoscaler on Kubernetes: `autoscaling.kubernetes` and `clusters.*.rayservice` of the fleet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from serve.fleet.base import Frozen, KubernetesName, ModelId, Namespace, PositiveSeconds

# client-go waits up to 1.2 retry periods between two attempts, and asks that at least one fits before the deadline.
RETRY_JITTER = 1.2


class Kubernetes(Frozen):
    """One of several autoscalers leads by a Lease, and keeps what it has seen in a ConfigMap.

    Inside a pod its service account is used, elsewhere the kubeconfig ($KUBECONFIG, or ~/.kube/config).
    """

    namespace: Namespace | None = Field(
        default=None,
        description="Of Lease and ConfigMap; default: the pod's own, or that of the kubeconfig's context.",
    )
    lease: KubernetesName = Field(default="parlance-autoscaler", description="Name of the Lease by which one leads.")
    config_map: KubernetesName = Field(
        default="parlance-autoscaler-history", description="Name of the ConfigMap with what the leader has seen."
    )
    identity: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Begins the holder's name in the Lease; default: $POD_NAME, or the host's name. A random part "
        "follows, so that a restarted process is another holder.",
    )
    duration_s: int = Field(
        default=30, ge=3, le=3600, description="How long a silent leader is waited for: the time of a failover."
    )
    renew_deadline_s: PositiveSeconds = Field(
        default=20, description="A leader that could not renew for so long leads no more."
    )
    retry_s: PositiveSeconds = Field(default=4, description="Between two attempts to renew or to take the Lease.")
    save_s: PositiveSeconds = Field(
        default=60,
        description="Between two writes of the ConfigMap; a round that changed replicas is written at once.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Kubernetes:
        if self.retry_s * RETRY_JITTER >= self.renew_deadline_s:
            raise ValueError(
                f"retry_s ({self.retry_s:g}) must be below renew_deadline_s ({self.renew_deadline_s:g}) ÷ "
                f"{RETRY_JITTER}: else one lost call ends the leadership"
            )
        if self.renew_deadline_s >= self.duration_s:
            raise ValueError(
                f"renew_deadline_s ({self.renew_deadline_s:g}) must be below duration_s ({self.duration_s}): a leader "
                "stops before another may begin"
            )
        return self


class RayServiceRef(Frozen):
    """The RayService of KubeRay whose active Ray cluster this is."""

    name: KubernetesName
    namespace: Namespace | None = Field(default=None, description="Default: the autoscaler's.")
    worker_groups: dict[ModelId, str] = Field(
        default_factory=dict,
        description="By model id the worker group whose pods its replicas run on (`groupName`). Pods for planned "
        "replicas are then asked for at once; models that are not named are left to Ray's autoscaler alone.",
    )
    upgrade_with: Literal["planned", "described"] = Field(
        default="planned",
        description="Replicas of the second cluster that an upgrade makes, before requests go there. `planned`: as "
        "many as the plan wants, and it waits until there is room for both clusters. `described`: the RayService's own "
        "`num_replicas`, and the plan begins after the switch.",
    )
