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
    """A HorizontalPodAutoscaler for the gateway. It needs the cluster's metrics server."""

    enabled: bool = Field(default=True, description="Off: `gateway.replicas` pods.")
    min_replicas: int = Field(default=2, ge=1, le=1000, description="Pods at least; at most `maxReplicas`.")
    max_replicas: int = Field(default=8, ge=1, le=1000, description="Pods at most.")
    target_cpu_utilization_percentage: int = Field(default=70, ge=1, le=100, description="Of `resources.requests.cpu`.")
    metrics: list[Verbatim] = Field(default=[], description="In place of CPU: autoscaling/v2 metrics, verbatim.")

    @model_validator(mode="after")
    def _ordered(self) -> GatewayScaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas ({self.min_replicas}) is above maxReplicas ({self.max_replicas})")
        return self


class Service(Part):
    """How clients inside the cluster reach the gateway."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="How far it reaches."
    )
    port: Port = Field(default=80, description="Of the Service; the pods' own follows from the fleet.")
    annotations: dict[str, str] = Field(default={}, description="For a cloud's load balancer.")
    load_balancer_source_ranges: list[str] = Field(
        default=[], description="CIDRs that a LoadBalancer lets in. Empty: all."
    )


class IngressTls(Part):
    """TLS at the ingress, for all of `hosts`. Null: none. `{}`: the controller's certificate."""

    existing_secret: Name = Field(default="", description="A Secret with tls.crt and tls.key. Empty: the controller's.")


class Ingress(Part):
    """An Ingress for the gateway's client port. The operator's port is never published."""

    enabled: bool = Field(default=False, description="Whether there is one.")
    class_name: Name = Field(default="", description="The IngressClass. Empty: the cluster's default.")
    hosts: list[str] = Field(default=[], description="Names that clients call. Empty: any.")
    tls: IngressTls | None = None
    annotations: dict[str, str] = Field(
        default={},
        description="Response buffering must be off and read time-outs long, or streams are cut: "
        "values-production.yaml.",
    )


class HttpRoute(Part):
    """A Gateway API HTTPRoute for the gateway's client port."""

    enabled: bool = Field(default=False, description="Whether there is one. Needs the Gateway API's CRDs.")
    parent_refs: list[Verbatim] = Field(default=[], description="Its Gateways: `- {name: public, namespace: edge}`.")
    hostnames: list[str] = Field(default=[], description="Names that clients call. Empty: those of the listener.")
    timeouts: Verbatim = Field(
        default={"request": "0s"},
        description="Of its rule. 0s: none, for a stream may last an hour; null: the field is left out, for Gateways "
        "that do not have it.",
    )
    annotations: dict[str, str] = Field(default={}, description="On the HTTPRoute.")


class State(Part):
    """What a gateway learns, its decision log, and the ledger of budgets."""

    existing_claim: Name = Field(
        default="", description="A claim that outlives the pod; one gateway pod only: the ledger is one file."
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
        default=[],
        description="Further environment: keys of `upstream` models. "
        "`- {name: PROVIDER_API_KEY, valueFrom: {secretKeyRef: {name: provider, key: api-key}}}`",
    )


class AutoscalerPods(Spread):
    """Who decides on replicas. One of its pods leads."""

    enabled: bool = Field(default=True, description="Off: each model keeps the replicas that it starts with.")
    replicas: int = Field(default=2, ge=1, le=10, description="Pods: one leads by a Lease, the others stand by.")
    dry_run: bool = Field(default=False, description="Plans, tells, and changes nothing.")
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"})
    pod_disruption_budget: Disruption = Disruption()
    service_account: ServiceAccount = ServiceAccount()
