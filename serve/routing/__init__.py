"""The choice of a model: pure functions of a request, a fleet, its live state and the time.

`decide` is the one door (`prepare` opens it ahead of the first request); the records are what goes in and comes out.
"""

from serve.routing.decide import decide, prepare
from serve.routing.records import (
    Ability,
    Candidate,
    Decision,
    Endpoint,
    Hints,
    Language,
    LanguageSource,
    Live,
    Mode,
    ModelState,
    Rejection,
    Request,
)
from serve.routing.tags import known_languages

__all__ = [
    "Ability",
    "Candidate",
    "Decision",
    "Endpoint",
    "Hints",
    "Language",
    "LanguageSource",
    "Live",
    "Mode",
    "ModelState",
    "Rejection",
    "Request",
    "decide",
    "known_languages",
    "prepare",
]
