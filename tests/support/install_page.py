"""docs/install.md as a machine reads it: its commands, its files, and what both name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.programs import ROOT

PAGE = ROOT / "docs" / "install.md"
TEXT = PAGE.read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
_FLAGS_OF_INSTALLING = {"--wait": 0, "--timeout": 1, "--reset-then-reuse-values": 0}
CHART = "deploy/helm/parlance"


def blocks(language: str) -> list[str]:
    """The page's fenced blocks of a language."""
    return [text for name, text in _BLOCK.findall(TEXT) if name == language]


def commands() -> list[str]:
    """Every command of the page's shell blocks, continued lines joined, in its order; and those that stand in its
    tables and sentences, as `kubectl …`, `helm …` or `parlance …`."""
    shell = [line for text in blocks("sh") for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    prose = _BLOCK.sub("", TEXT).replace("\n", " ")
    spoken = [said for said in re.findall(r"`([^`]+)`", prose) if re.match(r"(kubectl|helm|parlance) [a-z-]", said)]
    return [*shell, *(said for said in spoken if "…" not in said)]


def simple(command: str) -> Iterator[list[str]]:
    """The words of each program that a command starts, without pipes, redirections and assignments."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in lexer:
        if word in {"|", "||", "&&", ";"}:
            yield words
            words = []
        elif word in {">", "<"}:
            skip = True
        elif skip:
            skip = False
        else:
            words.append(word)
    yield words


def kubectl() -> list[list[str]]:
    """The words of every `kubectl`, also of those in `$(…)`."""
    found = []
    for command in commands():
        inner = re.findall(r"\$\((kubectl [^)]*)\)", command)
        outer = re.sub(r"[A-Z]+=\$\([^)]*\)?.*", "", command)
        for one in (*inner, outer):
            found += [words for words in simple(one) if words and words[0] == "kubectl"]
    return found


def helm(*actions: str) -> list[list[str]]:
    """The words of every `helm` of these actions with this chart."""
    return [
        words
        for command in commands()
        for words in simple(command)
        if words[:1] == ["helm"] and words[1] in actions and CHART in words
    ]


def as_template(words: Sequence[str]) -> list[str]:
    """An install or upgrade as the `helm template` that renders the same."""
    out, skip = ["template"], 0
    for word in words[2:]:
        if skip:
            skip -= 1
        elif word in _FLAGS_OF_INSTALLING:
            skip = _FLAGS_OF_INSTALLING[word]
        else:
            out.append(word)
    return out


def write_files(folder: Path) -> list[Path]:
    """The page's YAML files, each named by its first line, written into a folder."""
    written = []
    for text in blocks("yaml"):
        named = re.match(r"# (\S+\.yaml)\n", text)
        assert named, f"a YAML block of {PAGE.name} does not begin with its file's name:\n{text}"
        (folder / named[1]).write_text(text, encoding="utf-8")
        written.append(folder / named[1])
    return written


def value_paths() -> set[str]:
    """Every path of values that the page names in code: `engines.weights.kind`, `--set a.b=c`."""
    sections = "gateway|autoscaler|engines|prometheus|monitoring|networkPolicies|images|test"
    prose = _BLOCK.sub("", TEXT)
    named = re.findall(
        rf"`(?:--set(?:-string)? )?((?:{sections})\.[A-Za-z.]+)(?:[ =:][^`]*)?`", prose.replace("\n", " ")
    )
    set_ = re.findall(rf"--set ((?:{sections})\.[A-Za-z.]+)=", TEXT.replace("\n", " "))
    return set(named) | set(set_)
