"""The chart's values: the one place that the schema, `values.yaml` and their reference are generated from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from serve.chart.engines import Engines
from serve.chart.parts import Image, Label, Name, Part, SecretKey
from serve.chart.pods import AutoscalerPods, GatewayPods
from serve.chart.watching import Monitoring, NetworkPolicies, Prometheus


class Images(Part):
    """What runs. How each is built: deploy/images."""

    gateway: Image = Field(
        default=Image(repository="ghcr.io/parlance-llm/parlance"), description="Gateway, autoscaler and the test."
    )
    engine: Image = Field(
        default=Image(repository="ghcr.io/parlance-llm/parlance-engine"),
        description="Ray's head and workers, with vLLM. Its Ray is `engines.rayVersion`.",
    )
    prometheus: Image = Field(
        default=Image(repository="docker.io/prom/prometheus", tag="v3.5.0"),
        description="Only where `prometheus.url` is empty.",
    )


class Test(Part):
    """`helm test`: a request through the gateway."""

    key: SecretKey = Field(
        default=SecretKey(),
        description="Where an API key in plain text is; empty: the generated one. Needed with "
        "gateway.keys.existingSecret.",
    )
    timeout_seconds: int = Field(default=300, ge=10, le=3600, description="Engines may still be starting.")


class Values(Part):
    """`values.yaml`."""

    fleet: dict[str, Any] | str | None = Field(
        default=None,
        description="The fleet description (docs/fleet.md), as a mapping or as a file (`--set-file fleet=fleet.yaml`); "
        "null: the chart's files/fleet.yaml. Addresses, ports, keys and Prometheus are the chart's to fill in; a "
        "cluster of it that has a serve_url is run by others.",
    )
    models: dict[str, dict[str, Any]] = Field(
        default={},
        description="Changes to models of the fleet by id or catalogue name, merged over what stands there: "
        "`--set models.normistral-11b-thinking.enabled=true`.",
    )
    name_override: Label = Field(default="", description="In place of the chart's name in names of objects.")
    fullname_override: Label = Field(default="", description="In place of release and chart in names of objects.")
    common_labels: dict[str, str] = Field(default={}, description="Further labels of every object and pod.")
    common_annotations: dict[str, str] = Field(default={}, description="Annotations of every object.")
    image_pull_secrets: list[dict[Literal["name"], Name]] = Field(
        default=[], description="Secrets for registries, for all pods: `- name: registry`."
    )
    images: Images = Images()
    gateway: GatewayPods = GatewayPods()
    autoscaler: AutoscalerPods = AutoscalerPods()
    engines: Engines = Engines()
    prometheus: Prometheus = Prometheus()
    monitoring: Monitoring = Monitoring()
    network_policies: NetworkPolicies = NetworkPolicies()
    test: Test = Test()
