"""docs/install.md against the chart: its commands run, or what they name is there; its values exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support import install_page
from tests.support.helm import KINDS, Helm, Object

pytestmark = pytest.mark.integration

# What others than the chart put there: KubeRay, and the reader by the page's own commands.
OTHERS = {
    ("raycluster", ""),
    ("pvc", "ledger"),
    ("namespace", "parlance"),
    ("namespace", "gpu-operator"),
}
KUBERAYS_LABELS = {
    "ray.io/node-type": {"head", "worker"},
    "ray.io/originated-from-cr-name": {"parlance-main"},
}
SHORT = {
    "deploy": "deployment",
    "svc": "service",
    "persistentvolumeclaim": "pvc",
    "horizontalpodautoscaler": "hpa",
    "pods": "pod",
}
# Kinds of whole clusters, or asked for without a name.
NAMELESS = {
    "networkpolicy",
    "nodes",
    "node",
    "storageclass",
    "pod",
    "jobs",
    "runtimeclass",
    "events",
    "crd",
    "apiservice",
    "raycluster",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the reader has it: the checkout's deploy/, and the files that the page writes."""
    path = tmp_path_factory.mktemp("page")
    (path / "deploy").symlink_to(install_page.ROOT / "deploy")
    install_page.write_files(path)
    return path


@pytest.fixture(scope="module")
def objects(rendered: Callable[..., list[Object]]) -> list[Object]:
    """Everything that the page may name: the default fleet, monitored, with weights on a claim."""
    return rendered(
        {
            "engines": {"weights": {"kind": "persistentVolumeClaim"}},
            "monitoring": {name: {"enabled": True} for name in ("monitors", "rules", "dashboards")},
        }
    )


@pytest.fixture(scope="module")
def ran(folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every `parlance …` of the page, run in its order: what others read they write."""
    done = {}
    for command in install_page.commands():
        # `parlance plan` alone is the command's name in a sentence.
        if command.startswith("parlance ") and command not in {"parlance plan", "parlance keys list"}:
            shell = f'set -o pipefail; parlance() {{ "{sys.executable}" -m serve.cli "$@"; }}; {command}'
            done[command] = subprocess.run(
                ["bash", "-c", shell], cwd=folder, capture_output=True, text=True, timeout=120, check=False
            )
    return done


def test_parlance_s_own_commands_run(ran: dict[str, subprocess.CompletedProcess[str]], folder: Path) -> None:
    for words in ("fleet check", "keys add", "plan --fleet", "metrics render"):
        assert any(words in command for command in ran)
    for command, done in ran.items():
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (folder / "web.key").read_text().startswith("pk-")
    assert not (folder / "test.key").read_text().endswith("\n")


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("words", install_page.helm("install", "upgrade", "template", "lint"), ids=shlex.join)
def test_what_the_page_installs_renders(helm: Helm, folder: Path, words: list[str]) -> None:
    def here(word: str) -> str:
        value, equals, file = word.rpartition("=")
        return f"{value}{equals}{folder / file}" if (folder / file).exists() else word

    arguments = [here(word) for word in install_page.as_template(words)]
    if "--api-versions" not in arguments:
        arguments += [word for kind in KINDS for word in ("--api-versions", kind)]
    answer = helm.run(*arguments)
    assert answer.returncode == 0, answer.stderr
    assert "kind: RayService" in answer.stdout


def _named(words: list[str]) -> list[tuple[str, str]]:
    """(kind, name) of every object that a kubectl names."""
    positional, skip = [], False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in {"-n", "--namespace", "-l", "-o", "-c", "-p", "--type", "--sort-by", "--from-file", "-f"}:
            skip = True
        elif not word.startswith("-"):
            positional.append(word)
    verb, *rest = positional
    if verb in {"rollout", "create"}:
        rest = rest[1:] if verb == "rollout" else []
    if verb in {"version", "apply", "label", "drain"}:
        return []
    if verb == "logs" and rest and "/" not in rest[0]:
        return [("pod", rest[0])]
    slashed = [tuple(one.split("/", 1)) for one in rest if "/" in one]
    if slashed or not rest:
        return [(SHORT.get(kind, kind), name) for kind, name in slashed]
    names = [name for name in rest[1:] if not re.match(r"[0-9:]+$|[a-z0-9.-]+=", name)]
    kinds = [SHORT.get(kind, kind) for kind in rest[0].split(",")]
    return [(kind, name) for kind in kinds for name in names or [""]]


def _there(objects: list[Object]) -> set[tuple[str, str]]:
    short = {"PersistentVolumeClaim": "pvc", "HorizontalPodAutoscaler": "hpa"}
    return {(short.get(one["kind"], one["kind"].lower()), one["metadata"]["name"]) for one in objects}


def _made_by_the_page() -> set[tuple[str, str]]:
    made = re.findall(r"create (secret generic|namespace) ([a-z-]+)", "\n".join(install_page.commands()))
    return {("secret" if kind.startswith("secret") else kind, name) for kind, name in made}


def test_every_object_that_a_kubectl_names_is_there(objects: list[Object]) -> None:
    there = _there(objects) | OTHERS | _made_by_the_page()
    named = [(words, one) for words in install_page.kubectl() for one in _named(words)]
    assert len({one for _, one in named}) > 12
    for words, (kind, name) in named:
        if name == "" and kind in NAMELESS | {known for known, _ in there}:
            continue
        if kind in {"crd", "apiservice"} or name.startswith("$"):
            continue
        assert (kind, name) in there, shlex.join(words)


def test_every_selector_and_container_is_that_of_some_pod(objects: list[Object]) -> None:
    containers = {"autoscaler"}  # KubeRay's sidecar of the head
    for one in objects:
        if one["kind"] == "RayService":
            cluster = one["spec"]["rayClusterConfig"]
            for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                spec = group["template"]["spec"]
                containers |= {c["name"] for c in (*spec["containers"], *spec.get("initContainers", ()))}
    asked = 0
    for words in install_page.kubectl():
        for flag, value in pairwise(words):
            if flag == "-l":
                key, label = value.split("=")
                assert label in KUBERAYS_LABELS[key], shlex.join(words)
                asked += 1
            if flag == "-c":
                assert value in containers, shlex.join(words)
                asked += 1
    assert asked > 5


def test_ports_that_are_forwarded_are_the_services_(objects: list[Object]) -> None:
    services = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Service"}
    forwarded = [words for words in install_page.kubectl() if "port-forward" in words]
    assert len(forwarded) >= 3
    for words in forwarded:
        name, port = words[-2].removeprefix("service/"), int(words[-1].split(":")[1])
        assert port in [one["port"] for one in services[name]["spec"]["ports"]], shlex.join(words)


def test_every_value_that_the_page_names_is_one() -> None:
    schema: dict[str, Any] = json.loads((install_page.ROOT / install_page.CHART / "values.schema.json").read_text())

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part or "anyOf" in part or "allOf" in part:
            if "$ref" in part:
                part = schema["$defs" if "$defs" in schema else "definitions"][part["$ref"].rsplit("/", 1)[1]]
            else:
                part = next(one for one in (part.get("anyOf") or part["allOf"]) if one.get("type") != "null")
        return part

    paths = install_page.value_paths()
    assert len(paths) > 20
    for path in sorted(paths):
        part: dict[str, Any] = schema
        for step in path.split("."):
            part = resolved(part)
            below = part.get("properties", {}).get(step) or part.get("additionalProperties")
            assert isinstance(below, dict), f"{path}: the chart's values have no {step}"
            part = below


def test_objects_of_the_page_s_first_table_are_there(objects: list[Object]) -> None:
    there = _there(objects)
    rows = re.findall(r"^\| ((?:[A-Z]\w+(?:, )?)+) `([a-z-]+)` \|", install_page.TEXT, re.M)
    assert len(rows) >= 7
    for kinds, name in rows:
        for kind in kinds.lower().split(", "):
            kind = {"persistentvolumeclaim": "pvc"}.get(kind, kind)
            assert (kind, name) in there, f"{kind} {name}"


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links_lead_to_pages_and_to_their_sections() -> None:
    links = re.findall(r"\]\(([^):#]*)(?:#([^)]+))?\)", install_page.TEXT)
    assert len(links) > 20
    for file, section in links:
        page = install_page.PAGE.parent / file if file else install_page.PAGE
        assert page.exists(), file
        if section:
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
            assert section in {_slug(heading) for heading in headings}, f"{file}#{section}"
