"""Processes that share a pipe write whole lines to it."""

import asyncio
import json
import multiprocessing
import os
import tempfile
import threading

import pytest

from serve.gateway.journal import Journal

pytestmark = pytest.mark.unit

LINES, LENGTH = 60, 3000  # a flush of several is more than a pipe takes in one piece


def write(descriptor, turn, name):
    async def lines():
        journal = Journal(descriptor, turn)
        for number in range(LINES):
            journal.write({"who": name, "number": number, "text": name * LENGTH})
            if number % 6 == 5:
                journal.flush()
                await asyncio.sleep(0)
        await journal.close()

    asyncio.run(lines())


def share(turn, blocking):
    """The lines that come out of a pipe that two processes write to."""
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    parts = []

    def read():
        while part := os.read(reading, 1000):
            parts.append(part)

    reader = threading.Thread(target=read)
    processes = [
        multiprocessing.get_context("fork").Process(target=write, args=(writing, turn, name)) for name in ("a", "b")
    ]
    for process in processes:
        process.start()
    os.close(writing)
    reader.start()
    for process in processes:
        process.join()
    reader.join()
    os.close(reading)
    assert [p.exitcode for p in processes] == [0, 0]
    return b"".join(parts).splitlines()


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_of_two_processes_do_not_run_into_each_other(blocking, monkeypatch):
    monkeypatch.setattr("serve.gateway.journal.CLOSE_S", 20)  # a busy machine loses no line either
    with tempfile.TemporaryFile() as file:
        records = [json.loads(line) for line in share(file.fileno(), blocking)]
    for name in ("a", "b"):
        own = [r for r in records if r["who"] == name]
        assert [r["number"] for r in own] == list(range(LINES))
        assert all(r["text"] == name * LENGTH for r in own)
