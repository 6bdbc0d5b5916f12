"""The languages that each tenant wrote in of late: what "Hei!" is likely to be in, from someone who writes Norwegian.

A share by language of the last hundred requests or so whose own text settled it. Requests that took their language from
a hint, from earlier turns or from this mix do not count: it would feed on itself. Kept in memory only.
"""

from __future__ import annotations

from collections import OrderedDict

from serve.routing.records import Language, LanguageSource, Posterior
from serve.routing.tags import OTHER

# Each request weighs 1% less when the next one comes: some hundred count.
DECAY = 0.99
# Fewer requests say nothing of a tenant.
ENOUGH = 20
# Tenants that are remembered; the one that was silent longest is forgotten first.
TENANTS = 10_000
# Languages of one tenant; smaller shares are `other`'s.
LANGUAGES = 12
LEAST = 0.01
# What a new text may be in besides: one more request of an unseen language.
UNSEEN = 1.0

_OWN = frozenset((LanguageSource.TEXT, LanguageSource.SCRIPT))


class _Tenant:
    __slots__ = ("posterior", "seen", "shares")

    def __init__(self) -> None:
        self.seen = 0
        self.shares: dict[str, float] = {}
        self.posterior: Posterior | None = None


class Mixes:
    """The mix of every tenant that was seen lately."""

    def __init__(self, tenants: int = TENANTS) -> None:
        self._most = tenants
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()

    def add(self, tenant: str, language: Language) -> None:
        """A request of this tenant was settled."""
        if language.abstained or language.source not in _OWN or language.tag == OTHER:
            return
        known = self._tenants.get(tenant)
        if known is None:
            known = self._tenants[tenant] = _Tenant()
            if len(self._tenants) > self._most:
                self._tenants.popitem(last=False)
        self._tenants.move_to_end(tenant)
        shares = known.shares
        for tag in shares:
            shares[tag] *= DECAY
        shares[language.tag] = shares.get(language.tag, 0.0) + 1.0
        if len(shares) > LANGUAGES:
            del shares[min(shares, key=lambda tag: (shares[tag], tag))]
        known.seen += 1
        if known.seen >= ENOUGH:
            known.posterior = _posterior(shares)

    def of(self, tenant: str) -> Posterior | None:
        """The tenant's mix, most frequent first, summing to 1; None until enough was seen."""
        known = self._tenants.get(tenant)
        return None if known is None else known.posterior


def _posterior(shares: dict[str, float]) -> Posterior:
    total = sum(shares.values()) + UNSEEN
    kept = [(tag, share / total) for tag, share in shares.items() if share >= LEAST * total]
    kept.append((OTHER, 1.0 - sum(p for _, p in kept)))
    return tuple(sorted(kept, key=lambda entry: (-entry[1], entry[0])))
