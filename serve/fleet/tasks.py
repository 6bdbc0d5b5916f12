"""The tasks that evidence of quality, and a request, can be about."""

from __future__ import annotations

from enum import StrEnum


class Task(StrEnum):
    """What a request asks a model to do. A request whose task is not known has none."""

    CHAT = "chat"  # a question, advice, conversation, writing
    TRANSLATION = "translation"
    SUMMARY = "summary"
    EXTRACTION = "extraction"  # what a given text says: fields, names, an answer from a passage
    CODE = "code"
    REASONING = "reasoning"  # mathematics, logic, several steps to one right answer
