"""The images' recipes against what they are made of: locks, wheel, chart, and the kit's counterpart."""

from __future__ import annotations

import re
import sysconfig
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import images

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
RECIPES = ROOT / "deploy" / "images"
DOCKERFILES = sorted(RECIPES.glob("*.Dockerfile"))
CHART = ROOT / "deploy" / "helm" / "parlance"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (RECIPES / "README.md").read_text(encoding="utf-8")


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions in order, with their words on one line."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest) for word, rest in found]


def arguments(path: Path) -> dict[str, str]:
    """ARGs with their defaults."""
    return dict(rest.split("=", 1) for word, rest in instructions(path) if word == "ARG")


def last_stage(path: Path) -> list[tuple[str, str]]:
    found = instructions(path)
    start = max(n for n, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def locked(name: str, package: str) -> str:
    """A package's version in a lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    assert found, f"{package} is not in requirements/{name}.txt"
    return found[1]


def test_there_are_three() -> None:
    assert [path.stem for path in DOCKERFILES] == ["engine-cpu", "engine", "gateway"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_bases_are_arguments_with_a_version_so_that_a_digest_can_be_given(path: Path) -> None:
    given = arguments(path)
    stages: set[str] = set()
    for word, rest in instructions(path):
        if word != "FROM":
            continue
        base, _, stage = rest.partition(" AS ")
        if base not in stages:
            found = re.fullmatch(r"\$\{(\w+)\}", base)
            assert found, f"{base} is written into the recipe"
            registry, _, tag = given[found[1]].rpartition(":")
            assert registry.startswith("docker.io/")
            assert tag != "latest"
            assert any(character.isdigit() for character in tag)
        stages.add(stage)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_nobody_runs_as_root_and_probes_are_kubernetes_business(path: Path) -> None:
    end = last_stage(path)
    assert [rest for word, rest in end if word == "USER"][-1] == "1000:1000"
    assert ("HEALTHCHECK", "NONE") in end
    users = [n for n, (word, _) in enumerate(end) if word == "USER"]
    assert not [word for word, _ in end[users[-1] :] if word in ("RUN", "COPY", "ADD")]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_package_comes_by_hash(path: Path) -> None:
    """From a lock, or a wheel that was built before; nothing is fetched by a name alone."""
    commands = [part for word, rest in instructions(path) if word == "RUN" for part in rest.split("&&")]
    installs = [part for part in commands if re.search(r"\b(pip install|pip sync|uv build)\b", part)]
    assert len(installs) >= 4
    for one in installs:
        assert "--require-hashes" in one or ("--offline" in one and "--no-deps" in one and "/dist/*.whl" in one), one
        assert "--compile-bytecode" in one or "uv.txt" in one or "uv build" in one


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_versions_are_the_project_s(path: Path) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert arguments(path)["VERSION"] == PROJECT["project"]["version"] == chart["appVersion"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', last_stage(path)[-1][1]))
    assert labels["licenses"] == PROJECT["project"]["license"]
    assert labels["source"] == chart["sources"][0]
    assert labels["title"] == ("parlance" if path.stem == "gateway" else f"parlance-{path.stem}")


def test_the_gpu_base_is_of_the_locked_vllm_and_ray_of_the_chart() -> None:
    base = arguments(RECIPES / "engine.Dockerfile")["BASE"]
    assert base == f"docker.io/vllm/vllm-openai:v{locked('gpu', 'vllm')}"
    ray = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["engines"]["rayVersion"]
    assert ray == locked("gpu", "ray") == locked("cpu", "ray")


def test_the_build_s_context_has_what_is_copied_and_nothing_that_is_secret() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "what is not named must stay out"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {*packages, "pyproject.toml", PROJECT["project"]["readme"], "LICENSE"}
    assert needed <= let_in
    assert set(packages) == set(images.PACKAGES)
    for path in DOCKERFILES:
        for word, rest in instructions(path):
            if word == "COPY" and "--from" not in rest:
                for source in rest.split()[:-1]:
                    assert source == "." or any(fnmatch(source, f"{one}*") for one in let_in), source
    assert not [one for one in let_in if not (ROOT / one).exists()]
    assert not let_in & {"tests", ".git", ".venv", ".state", "deploy", "deploy/helm"}


def test_the_gateway_s_lock_has_everything_that_the_project_asks_for() -> None:
    for asked in PROJECT["project"]["dependencies"]:
        assert locked("gateway", re.split(r"[<>=\[;]", asked)[0].strip().lower())


def test_what_the_cpu_image_leaves_out_is_in_the_packages_that_are_locked() -> None:
    """A new torch may have other files: `rm` would then end the build of the image."""
    unused = (RECIPES / "unused-on-cpu.txt").read_text(encoding="utf-8").split()
    assert unused == sorted(unused)
    site = Path(sysconfig.get_paths()["platlib"])
    if not (site / "nvidia").exists():
        pytest.skip("torch is not the CUDA build here: nothing to leave out")
    assert [path for path in unused if not (site / path).is_file()] == []


@pytest.mark.parametrize(("recipe", "stem"), [(images.GATEWAY, "gateway"), (images.ENGINE, "engine-cpu")])
def test_the_kit_s_images_are_laid_out_as_the_recipes_say(recipe: images.Recipe, stem: str) -> None:
    path = RECIPES / f"{stem}.Dockerfile"
    text, end = path.read_text(encoding="utf-8"), last_stage(path)
    assert f"requirements/{recipe.lock}.txt" in text
    variables = dict(one.split("=", 1) for word, rest in end if word == "ENV" for one in rest.split())
    assert variables["PATH"] == images.PATH
    assert variables["HOME"] == f"/home/{recipe.user}"
    assert {one.split("=")[0]: one.split("=")[1] for one in recipe.environment}.items() <= variables.items()
    entrypoints = [rest for word, rest in end if word == "ENTRYPOINT"]
    assert entrypoints == ([f'["{recipe.entrypoint[0]}"]'] if recipe.entrypoint else [])
    assert ("COPY", f"--link --from=application /app {images.VENV}") in end
    assert bool(recipe.unused) == ("unused-on-cpu.txt" in text)


def test_the_page_builds_what_the_chart_names() -> None:
    for values in (CHART / "values.yaml", CHART / "values-cpu-demo.yaml"):
        for image, name in images.names(*({values} - {CHART / "values.yaml"})).items():
            assert image == "prometheus" or f"--tag {name}" in README, name
    for path in DOCKERFILES:
        assert f"deploy/images/{path.name}" in README
        for argument in set(arguments(path)):
            assert f"`{argument}`" in README
