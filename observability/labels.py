"""Labels of our own metrics, and what bounds the values of each: nothing that a client sends makes a series."""

from __future__ import annotations

# The first tenants of the keys file have series of their own; all others share `other`.
MAX_TENANTS = 100
OTHER = "other"

LABELS = {
    "model": "models of the description, and `none`: no model was reached",
    "language": "BCP-47 tags that a model of the description declares or was measured in, and `other`",
    "tenant": f"the first {MAX_TENANTS} tenants of the keys file, and `other`; `anonymous` where no keys are "
    "configured, or the key was refused",
    "tenant_class": "classes of the keys file, 16 at most",
    "status": "HTTP statuses that the gateway answers; 499: the client left",
    "reason": "serve.routing.policy.REASONS, and `none`; of key refusals: missing, unknown, expired, revoked, "
    "model_not_allowed; of plans: autoscaling.plan.Code",
    "direction": "input, cached_input (part of input), output; of replicas: up, down",
    "cause": "codes of serve.errors; of aborts: client_left, engine_failed, timeout, slow_client; of holds: missing, "
    "stale, invalid, unreachable",
    "code": "serve.routing.records.Rejection for candidates; codes of serve.errors for errors",
    "log": "journal, decisions, traces",
    "kind": "token_ratio, answer_length",
    "task": "tasks of the catalogue, and `none`",
    "statistic": "mean, p50, p90",
    "basis": "list, average, marginal",
    "source": "serve.routing.records.LanguageSource",
    "outcome": "of decisions: stayed, moved, new; of requests: answered, refused, failed, left; of applied plans: "
    "applied, unchanged, failed, dry_run, deferred; of held requests: woken, timeout, full, displaced, left, stopped",
    "flaw": "unreachable, malformed, unknown_model, stale",
    "input": "what decisions rest on: fleet, keys, evidence, learnt, health, plan; of the autoscaler: gateway, "
    "engines, ray_serve",
    "state": "running, starting, draining",
    "bound": "min, max",
    "version": "of the package that runs",
}
