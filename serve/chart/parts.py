"""Small parts that several of the chart's values share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

# RFC 1123: a label, and a name of several.
Label = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")]
Name = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$")]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
# As Prometheus writes them.
Duration = Annotated[str, StringConstraints(pattern=r"^[0-9]+(ms|s|m|h|d|w|y)$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
Url = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")]
Share = Annotated[str, StringConstraints(pattern=r"^(100|[0-9]{1,2})%$")]
Count = Annotated[int, Field(ge=0)]
Amount = Quantity | Count
# Passed on to Kubernetes as it stands; the API server says what is wrong with it.
Verbatim = dict[str, Any]


class Part(BaseModel):
    """A part of the values: camelCase, as Helm's conventions ask, and an unknown key is an error."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Image(Part):
    """One container image."""

    repository: str = Field(min_length=1, description="With its registry, without a tag.")
    tag: str = Field(default="", description="Empty: the chart's appVersion. Write numbers in quotes.")
    digest: Digest = Field(default="", description="sha256:…; goes before the tag, and pins what runs.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="Whether a node asks the registry for an image that it has."
    )


class Resources(Part):
    """Requests and limits, as in a container. Limits of CPU are left out: they throttle."""

    requests: dict[str, Amount] = Field(
        default={}, description="What the scheduler reserves: `{cpu: 500m, memory: 2Gi}`. Null takes one away."
    )
    limits: dict[str, Amount] = Field(default={}, description="What a container may use at most.")


class SecretKey(Part):
    """A key of a Secret that is already there. Empty: none."""

    existing_secret: Name = Field(default="", description="The Secret's name.")
    key: str = Field(default="", description="The key in it.")


class ServiceAccount(Part):
    """Whom pods run as."""

    create: bool = Field(default=True, description="Whether the chart makes it.")
    name: Name = Field(default="", description="Empty: made from the release's name, or `default` without `create`.")
    annotations: dict[str, str] = Field(default={}, description="On it: a cloud's workload identity.")


class Disruption(Part):
    """A PodDisruptionBudget: how many pods a drain of nodes may take at once."""

    enabled: bool = Field(default=True, description="Whether there is one. None is made for a single pod.")
    max_unavailable: Count | Share = Field(default=1, description="A number, or a share: 25%.")


class Placed(Part):
    """Where pods go, and what is written on them."""

    node_selector: dict[str, str] = Field(default={}, description="Labels that a node must have.")
    tolerations: list[Verbatim] = Field(default=[], description="Taints that pods tolerate.")
    affinity: Verbatim = Field(default={}, description="Affinity to nodes and pods, as in a pod.")
    priority_class_name: Name = Field(default="", description="A PriorityClass that is there. Empty: the cluster's.")
    pod_labels: dict[str, str] = Field(default={}, description="Further labels of the pods.")
    pod_annotations: dict[str, str] = Field(default={}, description="Annotations of the pods.")


class Spread(Placed):
    """The same for several equal pods."""

    topology_spread_constraints: list[Verbatim] = Field(
        default=[], description="Empty: over zones and then nodes, as far as there are some."
    )
