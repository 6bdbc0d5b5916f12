"""What an account may do, as the API server's own authoriser says: every verb on every resource, asked one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from autoscaling.kubernetes.api import Api

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
# What every account may ask about itself.
OWN = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
# Group, resource, name (None: any) and verb.
Right = tuple[str, str, str | None, str]


def rights_of_autoscaler(
    lease: str, history: str, *, services: Collection[str] = (), token: str | None = None, lists_pods: bool = True
) -> set[Right]:
    """What the autoscaler's code does, stated here once more. `services`: the only RayServices that it reads (none:
    any); `token`: the only Secret."""
    return {
        *(("coordination.k8s.io", "leases", name, "create") for name in (None, lease)),
        *(("coordination.k8s.io", "leases", lease, verb) for verb in ("get", "update")),
        *(("", "configmaps", name, "create") for name in (None, history)),
        *(("", "configmaps", history, verb) for verb in ("get", "update")),
        *(("events.k8s.io", "events", None, verb) for verb in ("create", "patch")),
        *(("ray.io", "rayservices", name, "get") for name in services or (None,)),
        *(("ray.io", "rayclusters", None, verb) for verb in ("get", "patch")),
        ("", "secrets", token, "get"),
        *([("", "pods", None, "list")] if lists_pods else []),
    }


@dataclass(frozen=True)
class Account:
    """A service account of a namespace, and an administrator who asks about it."""

    admin: Api
    namespace: str
    name: str

    @property
    def user(self) -> str:
        """Whom to impersonate."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def may(self, where: str | None, group: str, resource: str, name: str | None, verb: str) -> bool:
        """What the authoriser says; `where`: a namespace, None: the whole cluster."""
        plain, _, sub = resource.partition("/")
        asked = {"namespace": where, "group": group, "resource": plain, "subresource": sub, "name": name, "verb": verb}
        spec = {
            "user": self.user,
            "groups": ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{self.namespace}"],
            "resourceAttributes": {key: value for key, value in asked.items() if value},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = self.admin.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"]["allowed"])

    def other_than(self, needed: Collection[Right]) -> list[tuple[str, str, str | None, str, str]]:
        """Where what it may do in its namespace, and on what has none, is not exactly this."""
        wrong = []
        for group, resource, namespaced in resources(self.admin):
            names = [None, *(n for g, r, n, _ in needed if (g, r) == (group, resource) and n is not None)]
            for name in dict.fromkeys(names):
                for verb in VERBS:
                    allowed = self.may(self.namespace if namespaced else None, group, resource, name, verb)
                    expected = (group, resource, name, verb) in needed or (resource in OWN and verb == "create")
                    if allowed != expected:
                        wrong.append((group, resource, name, verb, "allowed" if allowed else "refused"))
        return wrong


def granted_to(asking: Api, namespace: str) -> set[Right]:
    """All that who asks may do in a namespace by the authoriser's rules, of one question; wildcards as they stand."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    told = asking.create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)["status"]
    assert not told.get("incomplete"), f"an authoriser that cannot list its rules: {told.get('evaluationError')}"
    return {
        (group, resource, name, verb)
        for rule in told["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or (None,)
        for verb in rule["verbs"]
    }


def resources(admin: Api) -> Iterator[tuple[str, str, bool]]:
    """Group, resource and whether it is namespaced: all that the API server has, and KubeRay's in any case."""
    seen = {("ray.io", "rayservices"), ("ray.io", "rayclusters")}
    yield from ((group, name, True) for group, name in sorted(seen))
    served = admin.get("/apis")["groups"]
    preferred = [(f"/apis/{one['preferredVersion']['groupVersion']}", one["name"]) for one in served]
    for path, group in [("/api/v1", ""), *preferred]:
        for one in admin.get(path)["resources"]:
            if (group, one["name"]) not in seen:
                yield group, one["name"], one["namespaced"]
