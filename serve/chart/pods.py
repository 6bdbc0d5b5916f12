"""Values of the gateway's and the autoscaler's pods."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from serve.chart.parts import Disruption, Name, Part, Port, Quantity, Resources, ServiceAccount, Spread, Verbatim


class Keys(Part):
    """API keys of clients (`parlance keys`): digests only."""

    existing_secret: Name = Field(
        default="", description="A Secret with the keys file. Empty: one key is made once, and kept over upgrades."
    )
    key: str = Field(default="keys.yaml", description="The file's key in the Secret.")


class GatewayScaling(Part):
    """A HorizontalPodAutoscaler for the gateway."""

    enabled: bool = True
    min_replicas: int = Field(default=2, ge=1, le=1000)
    max_replicas: int = Field(default=8, ge=1, le=1000)
    target_cpu_utilization_percentage: int = Field(default=70, ge=1, le=100, description="Of `resources.requests`.")
    metrics: list[Verbatim] = Field(default=[], description="In place of CPU: autoscaling/v2 metrics, verbatim.")

    @model_validator(mode="after")
    def _ordered(self) -> GatewayScaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas ({self.min_replicas}) is above maxReplicas ({self.max_replicas})")
        return self


class Service(Part):
    """How clients inside the cluster reach the gateway."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: Port = 80
    annotations: dict[str, str] = Field(default={})
    load_balancer_source_ranges: list[str] = Field(default=[])


class IngressTls(Part):
    """TLS at the ingress."""

    existing_secret: Name = Field(default="", description="Certificate and key. Empty: the controller's default.")


class Ingress(Part):
    """An Ingress for the gateway's client port. The operator's port is never published."""

    enabled: bool = False
    class_name: Name = ""
    hosts: list[str] = Field(default=[])
    tls: IngressTls | None = None
    annotations: dict[str, str] = Field(
        default={}, description="Response buffering must be off and read time-outs long, or streams are cut."
    )


class HttpRoute(Part):
    """A Gateway API HTTPRoute for the gateway's client port."""

    enabled: bool = False
    parent_refs: list[Verbatim] = Field(default=[])
    hostnames: list[str] = Field(default=[])
    annotations: dict[str, str] = Field(default={})


class State(Part):
    """What a gateway learns, its decision log, and the ledger of budgets."""

    existing_claim: Name = Field(
        default="", description="A volume that outlives the pod; one gateway pod only: the ledger is one file."
    )
    size_limit: Quantity = Field(default="2Gi", description="Of the pod's own volume, where there is no claim.")


class GatewayPods(Spread):
    """The OpenAI-compatible endpoint."""

    replicas: int = Field(default=2, ge=0, le=1000, description="Pods, where `autoscaling.enabled` is false.")
    autoscaling: GatewayScaling = GatewayScaling()
    keys: Keys = Keys()
    service: Service = Service()
    ingress: Ingress = Ingress()
    http_route: HttpRoute = HttpRoute()
    state: State = State()
    resources: Resources = Resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "2Gi"})
    pre_stop_seconds: int = Field(
        default=10, ge=0, le=300, description="Between a pod's removal from the endpoints and its SIGTERM."
    )
    drain_seconds: int | None = Field(
        default=None, ge=1, description="How long open answers may go on then. Null: as long as the longest stream."
    )
    pod_disruption_budget: Disruption = Disruption()
    service_account: ServiceAccount = ServiceAccount()
    env: list[Verbatim] = Field(
        default=[], description="Further environment: keys of `upstream` models by secretKeyRef."
    )


class AutoscalerPods(Spread):
    """Who decides on replicas. One of its pods leads."""

    enabled: bool = True
    replicas: int = Field(default=2, ge=1, le=10)
    dry_run: bool = Field(default=False, description="Plans, tells, and changes nothing.")
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"})
    pod_disruption_budget: Disruption = Disruption()
    service_account: ServiceAccount = ServiceAccount()
