"""Policies by their names in the fleet description."""

from autoscaling.policies.static import Static
from autoscaling.policies.token_work import TokenWork
from autoscaling.policy import Policy

POLICIES: dict[str, Policy] = {policy.name: policy for policy in (TokenWork(), Static())}

__all__ = ["POLICIES", "Static", "TokenWork"]
