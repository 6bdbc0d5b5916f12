"""What a request's text says, apart from any fleet: the part of a decision that needs the text.

The decision log keeps this in place of the text, and replay goes on from here with another fleet.
"""

from __future__ import annotations

from serve.routing.answer import asked_for
from serve.routing.identify import scorer
from serve.routing.records import Observed, Posterior, Request
from serve.routing.sample import WORD, sample
from serve.routing.scripts import SOLE, UNSPACED, looks_japanese, script_of
from serve.routing.shape import shape_of
from serve.routing.task import classify

# Fewer words than this say too little; of the short snippets of three words py3langid still gets most right.
LEAST_WORDS = 3
LEAST_UNSPACED = 4
# With so many spaces between what is left of a text, its words need not be counted.
CERTAIN_SPACES = 12
# How much of the earlier turns is read when the last one leaves a doubt.
EARLIER_CHARACTERS = 400
EARLIER_TURNS = 16
# A language of the last turn with this probability needs no earlier turns to settle it. (A fleet that asks for more
# with `min_confidence` gets what there is.)
SETTLED = 0.95


def observe(request: Request) -> Observed:
    """The observation of a request. Never raises."""
    excerpt = sample(request.text)
    script = script_of(excerpt)
    own = posterior_of(excerpt, script)
    earlier = None
    if request.earlier and (own is None or own[0][1] < SETTLED):
        before = sample(_earlier(request.earlier))
        earlier = posterior_of(before, script_of(before))
    task, task_probability = classify(request.text, request.instructions) if request.text else (None, 0.0)
    return Observed(
        script=script,
        own=own,
        by_script=script in SOLE,
        earlier=earlier,
        asked=asked_for(request.text, request.instructions, request.earlier),
        task=task,
        task_probability=round(task_probability, 3),
        shape=shape_of(request.text, request.instructions, request.earlier),
    )


def _earlier(turns: tuple[str, ...]) -> str:
    joined, size = [], 0
    for turn in turns[:EARLIER_TURNS]:
        joined.append(turn[:EARLIER_CHARACTERS])
        size += len(joined[-1])
        if size >= EARLIER_CHARACTERS:
            break
    return " ".join(joined)


def posterior_of(excerpt: str, script: str) -> Posterior | None:
    """The posterior of a text alone; None when it says too little."""
    sole = SOLE.get(script)
    if sole is not None:
        return ((sole, 1.0),)
    if not script:
        return None
    if script in UNSPACED:
        if sum(map(str.isalpha, excerpt)) < LEAST_UNSPACED:
            return None
    elif excerpt.count(" ") < CERTAIN_SPACES and len(WORD.findall(excerpt)) < LEAST_WORDS:
        return None
    if script == "Hani" and looks_japanese(excerpt):
        return (("ja", 1.0),)
    return tuple(scorer()(excerpt, script))
