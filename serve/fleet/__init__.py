"""The fleet description: one object that the gateway, the engines, the autoscaler and the chart all read."""

from serve.fleet.card import EvidenceStatus, Kind, ModelCard, Price, Quality, Role
from serve.fleet.description import Fleet, Model
from serve.fleet.engine import Engine
from serve.fleet.loader import load

__all__ = ["Engine", "EvidenceStatus", "Fleet", "Kind", "Model", "ModelCard", "Price", "Quality", "Role", "load"]
