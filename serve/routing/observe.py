"""What a request's text says, apart from any fleet: the part of a decision that needs the text.

The decision log keeps this in place of the text, and replay goes on from here with another fleet.
"""

from __future__ import annotations

from serve.routing.answer import asked_for
from serve.routing.mixed import read, read_plain
from serve.routing.records import Observed, Request
from serve.routing.scripts import SOLE
from serve.routing.shape import shape_of
from serve.routing.tags import OTHER
from serve.routing.task import classify

# How much of the earlier turns is read when the last one leaves a doubt.
EARLIER_CHARACTERS = 400
EARLIER_TURNS = 16
# A language of the last turn with this probability needs no earlier turns to settle it. (A fleet that asks for more
# with `min_confidence` gets what there is.)
SETTLED = 0.95


def observe(request: Request) -> Observed:
    """The observation of a request. Never raises."""
    script, own = read(request.text)
    earlier = None
    if request.earlier and (own is None or own[0][1] < SETTLED or own[0][0] == OTHER):
        earlier = read_plain(_earlier(request.earlier)).posterior
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
