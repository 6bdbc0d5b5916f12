"""Who can reach whom, by the semantics of NetworkPolicy (networking.k8s.io/v1): pure, over objects as they are applied.

Nobody enforces policies where the chart's tests run, so this says what a CNI that enforces them would let pass. A
connection passes when the source's policies let it out and the target's let it in; policies only add to each other; a
pod that none selects for a direction is open in it. Read strictly where the specification leaves a choice: an ipBlock
holds for a pod's address too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class End:
    """One end of a connection. Without a namespace it is no pod: policies know its address only.

    `named` are a pod's ports by name. `inside` are the labels of its namespace.
    """

    name: str
    address: str
    namespace: str | None = None
    labels: Labels = field(default_factory=dict)
    inside: Labels = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)


def reaches(policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection to that port passes. A pod always reaches itself."""
    if source == target:
        return True
    known = list(policies)
    return _passes(known, "Egress", source, target, target, port, protocol) and _passes(
        known, "Ingress", target, source, target, port, protocol
    )


def _passes(policies: Sequence[Policy], way: str, pod: End, other: End, target: End, port: int, protocol: str) -> bool:
    mine = [policy for policy in policies if _holds(policy, way, pod)]
    peers = "to" if way == "Egress" else "from"
    return not mine or any(
        _is_peer(rule.get(peers), policy, other) and _is_port(rule.get("ports"), target, port, protocol)
        for policy in mine
        for rule in policy["spec"].get(way.lower()) or ()
    )


def _holds(policy: Policy, way: str, pod: End) -> bool:
    spec = policy["spec"]
    # What the API server fills in where policyTypes is left out.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        pod.namespace is not None
        and way in types
        and policy["metadata"].get("namespace", "default") == pod.namespace
        and selects(spec.get("podSelector") or {}, pod.labels)
    )


def _is_peer(peers: Sequence[Mapping[str, Any]] | None, policy: Policy, other: End) -> bool:
    if not peers:  # missing or empty: everybody
        return True
    return any(_matches(peer, policy["metadata"].get("namespace", "default"), other) for peer in peers)


def _matches(peer: Mapping[str, Any], home: str, other: End) -> bool:
    if not peer.keys() & {"ipBlock", "podSelector", "namespaceSelector"}:
        raise ValueError(f"a peer that says nothing is refused by the API server: {dict(peer)}")
    if "ipBlock" in peer:
        if len(peer) > 1:
            raise ValueError(f"ipBlock stands alone in a peer: {dict(peer)}")
        block = peer["ipBlock"]
        return _within(other.address, block["cidr"]) and not any(
            _within(other.address, cidr) for cidr in block.get("except") or ()
        )
    if other.namespace is None:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"] or {}, other.inside):
            return False
    elif other.namespace != home:
        return False
    return selects(peer.get("podSelector") or {}, other.labels)


def _within(address: str, cidr: str) -> bool:
    found, network = ipaddress.ip_address(address), ipaddress.ip_network(cidr)
    return found.version == network.version and found in network


def _is_port(ports: Sequence[Mapping[str, Any]] | None, target: End, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for one in ports:
        if one.get("protocol", "TCP") != protocol:
            continue
        first = one.get("port")
        if first is None:
            return True
        if isinstance(first, str):
            first = target.named.get(first)
        if first is not None and first <= port <= one.get("endPort", first):
            return True
    return False


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a LabelSelector takes these labels; an empty one takes all."""
    wanted: Labels = selector.get("matchLabels") or {}
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _satisfies(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _satisfies(expression: Mapping[str, Any], labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":  # a label that is not there is in no list
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"operator {other!r}: In, NotIn, Exists or DoesNotExist")
