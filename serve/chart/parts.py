"""Small parts that several of the chart's values share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

# RFC 1123: a label, and a name of several.
Label = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")]
Name = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$")]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
# Passed on to Kubernetes as it stands; the API server says what is wrong with it.
Verbatim = dict[str, Any]


class Part(BaseModel):
    """A part of the values: camelCase, as Helm's conventions ask, and an unknown key is an error."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Image(Part):
    """One container image."""

    repository: str = Field(description="With its registry, without a tag.")
    tag: str = Field(default="", description="Empty: the chart's appVersion.")
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")] = Field(
        default="", description="sha256:…; goes before the tag, and pins what runs."
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class Resources(Part):
    """Requests and limits, as in a container. Limits of CPU are left out: they throttle."""

    requests: dict[str, str | int] = {}
    limits: dict[str, str | int] = {}


class SecretKey(Part):
    """A key of a Secret that is already there. Empty: none."""

    existing_secret: Name = Field(default="", description="The Secret's name.")
    key: str = Field(default="", description="The key in it.")


class ServiceAccount(Part):
    """Whom pods run as."""

    create: bool = True
    name: Name = Field(default="", description="Empty: made from the release's name.")
    annotations: dict[str, str] = {}


class Disruption(Part):
    """A PodDisruptionBudget."""

    enabled: bool = True
    max_unavailable: int | str = Field(default=1, description="A number, or a share: 25%.")


class Placed(Part):
    """Where pods go, and what is written on them."""

    node_selector: dict[str, str] = {}
    tolerations: list[Verbatim] = []
    affinity: Verbatim = {}
    priority_class_name: Name = ""
    pod_labels: dict[str, str] = {}
    pod_annotations: dict[str, str] = {}


class Spread(Placed):
    """The same for several equal pods."""

    topology_spread_constraints: list[Verbatim] = Field(
        default=[], description="Empty: over zones and then nodes, as far as there are some."
    )
