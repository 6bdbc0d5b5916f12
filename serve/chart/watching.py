"""Values of what looks on: Prometheus, monitors, rules, dashboards; and of who may reach whom."""

from __future__ import annotations

from pydantic import Field

from serve.chart.parts import Duration, Part, Placed, Port, Quantity, Resources, Url, Verbatim

# Addresses that are not the internet: private, shared and link-local ones, such as a cloud's metadata service.
PRIVATE_IPV4 = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
PRIVATE_IPV6 = ("fc00::/7", "fe80::/10")


class Prometheus(Placed):
    """What the autoscaler asks about load."""

    url: Url = Field(
        default="",
        description="One that scrapes these pods (`monitoring.monitors`). Empty: the chart runs a small one.",
    )
    scrape_interval: Duration = Field(
        default="15s",
        description="Of the chart's own: `autoscaling.window_s` of the fleet (60 s) holds four of them at least.",
    )
    retention: Duration = Field(default="2d", description="Of the chart's own: how long it remembers.")
    storage_size: Quantity = Field(
        default="10Gi", description="Of the chart's own: an emptyDir, so that a restart forgets."
    )
    resources: Resources = Resources(requests={"cpu": "200m", "memory": "512Mi"}, limits={"memory": "2Gi"})


class Labelled(Part):
    """Objects for an operator, and the labels by which it finds them."""

    enabled: bool = Field(default=False, description="Whether they are made.")
    labels: dict[str, str] = Field(default={}, description="By which the operator selects them.")
    annotations: dict[str, str] = Field(default={}, description="On them.")


class Rules(Labelled):
    """A PrometheusRule: recordings and alerts."""

    recordings: str = Field(
        default="",
        description="recordings.yaml of `parlance metrics render --fleet`, as a file (`--set-file`), for objectives of "
        "one's own (docs/network.md). Empty: the default objectives'.",
    )
    alerts: str = Field(default="", description="alerts.yaml of the same, as a file.")


class Monitors(Labelled):
    """PodMonitors of the Prometheus operator."""

    interval: Duration = Field(default="15s", description="Between two scrapes: `15s`, `1m`.")


class Monitoring(Part):
    """For the Prometheus operator and Grafana; generated from observability/."""

    monitors: Monitors = Monitors()
    rules: Rules = Rules()
    dashboards: Labelled = Field(
        default=Labelled(labels={"grafana_dashboard": "1"}), description="ConfigMaps for Grafana's sidecar."
    )
    runbooks_url: str = Field(
        default="", description="Where observability/runbooks is published, for alerts. Empty: in the repository."
    )


class NetworkPolicies(Part):
    """Default deny, and who may reach whom (docs/network.md). Peers are NetworkPolicyPeers, verbatim."""

    enabled: bool = Field(default=True, description="Off: everybody in the cluster reaches every pod.")
    clients: list[Verbatim] = Field(default=[], description="Who may call the gateway. Empty: everybody.")
    operators: list[Verbatim] = Field(
        default=[], description="Who may call the operator's port and /plan. Empty: nobody."
    )
    monitoring: list[Verbatim] = Field(
        default=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        description="Who may scrape metrics.",
    )
    kuberay: list[Verbatim] = Field(
        default=[
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}}
        ],
        description="KubeRay's operator: it calls the heads.",
    )
    dns: list[Verbatim] = Field(
        default=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        description="The cluster's DNS.",
    )
    api_server: list[Verbatim] = Field(
        default=[],
        description="Addresses of the API server, e.g. `ipBlock: {cidr: 10.0.0.1/32}`. Empty: any, on apiServerPorts.",
    )
    api_server_ports: list[Port] = Field(default=[443, 6443], description="Ports of the API server.")
    downloads: list[Verbatim] = Field(
        default=[
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_IPV4)}},
            {"ipBlock": {"cidr": "::/0", "except": list(PRIVATE_IPV6)}},
        ],
        description="Where weights may be fetched from, on port 443 or that of engines.hub.endpoint.",
    )
    upstreams: list[Verbatim] = Field(
        default=[],
        description="Where upstream models, clusters that others run and the collector of traces are, of the fleet. "
        "Empty: any, on the ports of their URLs.",
    )
    prometheus: list[Verbatim] = Field(
        default=[], description="Where the Prometheus of prometheus.url is. Empty: any, on its port."
    )
    egress: list[Verbatim] = Field(
        default=[], description="Further egress rules of the gateway, whole: `- to: […]`, `ports: […]`."
    )
    redis: list[Verbatim] = Field(default=[], description="Where Redis is. Empty: any, on its port.")
