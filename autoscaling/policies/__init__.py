"""Policies by their names in the fleet description."""

from autoscaling.policies.hpa_concurrency import HpaConcurrency
from autoscaling.policies.hpa_queue import HpaQueue
from autoscaling.policies.keda import Keda
from autoscaling.policies.ray_default import RayDefault
from autoscaling.policies.slo import Slo
from autoscaling.policies.static import Static
from autoscaling.policies.token_work import TokenWork
from autoscaling.policy import Policy

POLICIES: dict[str, Policy] = {
    policy.name: policy for policy in (Slo(), TokenWork(), Static(), RayDefault(), HpaQueue(), HpaConcurrency(), Keda())
}

__all__ = ["POLICIES", "HpaConcurrency", "HpaQueue", "Keda", "RayDefault", "Slo", "Static", "TokenWork"]
