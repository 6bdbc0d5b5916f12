"""The chart's checks of a fleet against the loader's, which gateway and autoscaler read it with.

What the loader refuses the chart refuses, before a pod is made; what the loader takes the chart takes. Exceptions are
listed here with their reasons, and nowhere else.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from serve.errors import DescriptionError
from serve.fleet import loader
from serve.fleet.schema import json_schema
from tests.support.fleets import BASE, mutations
from tests.support.fleets import Path as Place
from tests.support.helm import CHART, Helm, Object, Render, named

pytestmark = pytest.mark.integration

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = sorted(loader.LAPTOP.parent.glob("*.yaml"))
# Helm renders all of them at once: a process for each fleet would take minutes.
BATCH = """
{{- range $name, $text := .Values.cases }}
{{- $values := set (omit $.Values "cases") "fleet" $text }}
{{- $root := dict "Values" $values "Files" $.Files "Release" $.Release "Chart" $.Chart "Template" $.Template }}
{{- $out := dict "problems" list }}
{{- include "parlance.checkFleet" (dict "root" $root "out" $out) }}
{{ $name | quote }}: {{ $out.problems | toJson }}
{{- end }}
"""
EVERY = 40
"""One of so many mutations is tried: all of them take minutes of CPU."""

# The chart fills these in, and refuses what it would overwrite; files of evidence are not in the pods.
FILLED_IN: tuple[Place, ...] = (
    *(("gateway", name) for name in ("host", "port", "admin_host", "admin_port", "keys_file", "state_dir")),
    *(("gateway", name) for name in ("drain_s", "plan_url")),
    *(("autoscaling", name) for name in ("host", "port", "prometheus_url", "state_dir")),
    *(("autoscaling", "kubernetes", name) for name in ("namespace", "lease", "config_map")),
    ("evidence",),
)
# Left to the loader, whose sentence stands in the pod's log: a card's facts that contradict each other or fit no GPU, a
# price that does, what RayServices of others are called, windows of thousands of rounds.
LOADERS_OWN = ("card", "price", "rayservice")
ROUNDS = "is so short that"

BROKEN: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "broken_fleets.yaml").read_text(encoding="utf-8"))


def refused_by_loader(fleet: Any) -> list[str]:
    """What the loader says of a fleet, as text."""
    try:
        loader.resolve(fleet, "fleet")
    except DescriptionError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.fixture(scope="module")
def problems(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, list[str]]]:
    """problems({name: fleet}): what the chart says of each fleet that is given as text."""
    chart = tmp_path_factory.mktemp("batch") / "parlance"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("values.schema.json", "tests"))
    for path in (chart / "templates").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".tpl":
            path.unlink()
    (chart / "templates" / "batch.yaml").write_text(BATCH, encoding="utf-8")

    def found(fleets: Mapping[str, Any]) -> dict[str, list[str]]:
        # JSON is YAML whose words are in quotes: what is tried is the fleet, not YAML's reading of `no`.
        cases = {name: json.dumps(fleet) for name, fleet in fleets.items()}
        done = helm.template(Render(values={"cases": cases}, chart=chart))
        assert done.returncode == 0, done.stderr
        answer = {}
        for line in done.stdout.splitlines():
            if line.startswith('"'):
                name, _, said = line.partition(": ")
                answer[json.loads(name)] = [one["sentence"] for one in json.loads(said)]
        assert answer.keys() == fleets.keys()
        return answer

    return found


def test_both_refuse_what_is_broken(problems: Callable[..., dict[str, list[str]]]) -> None:
    said = problems({name: case["fleet"] for name, case in BROKEN.items()})
    for name, case in BROKEN.items():
        assert refused_by_loader(case["fleet"]), f"{name}: the loader takes it"
        assert any(case["says"] in one for one in said[name]), (name, said[name])


def test_they_agree_on_mutations_of_every_field(problems: Callable[..., dict[str, list[str]]]) -> None:
    schema = json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    tried = {f"{n}": case for n, case in enumerate(mutations(schema)) if n % EVERY == 0}
    assert len(tried) > 120
    said = problems({"base": BASE} | {name: fleet for name, (_, _, fleet) in tried.items()})
    assert said["base"] == [] == refused_by_loader(BASE)
    for name, (place, value, fleet) in tried.items():
        loaders = refused_by_loader(fleet)
        if said[name] and not loaders:
            # Quoted numbers and 0 for false: the published schema refuses them, in text as in a mapping.
            assert place in FILLED_IN or not validator.is_valid(fleet), (place, value, said[name])
        if loaders and not said[name]:
            known = bool({*place} & {*LOADERS_OWN}) or all(ROUNDS in one for one in loaders)
            assert known, (place, value, loaders)


def for_the_chart(fleet: dict[str, Any]) -> dict[str, Any]:
    """An example without what the chart fills in."""
    fleet = copy.deepcopy(fleet)
    for place in FILLED_IN:
        here = fleet
        for step in place[:-1]:
            here = here.get(str(step), {})
        here.pop(str(place[-1]), None)
    if "clusters" in fleet:
        fleet["clusters"] = {name: {} for name in fleet["clusters"]}
    return fleet


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_means_the_same_in_the_chart(
    rendered: Callable[..., list[Object]], tmp_path: Path, path: Path
) -> None:
    fleet = for_the_chart(yaml.safe_load(path.read_text(encoding="utf-8")))
    file = tmp_path / "fleet.yaml"
    file.write_text(yaml.safe_dump(fleet, allow_unicode=True), encoding="utf-8")
    objects = rendered(args=["--set-file", f"fleet={file}"])
    (tmp_path / "rendered.yaml").write_text(named(objects, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"])
    expected, found = loader.resolve(fleet, str(path)), loader.load(tmp_path / "rendered.yaml")
    assert found.models == tuple(
        model.model_copy(update={"cluster": model.cluster and next(iter(found.clusters))}) for model in expected.models
    )
    assert (found.routing, found.slo, found.aliases, found.reference) == (
        expected.routing, expected.slo, expected.aliases, expected.reference,
    )  # fmt: skip
    assert found.gateway.limits == expected.gateway.limits


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_text_and_mapping_are_one(rendered: Callable[..., list[Object]], tmp_path: Path, path: Path) -> None:
    fleet = for_the_chart(yaml.safe_load(path.read_text(encoding="utf-8")))
    file = tmp_path / "fleet.yaml"
    file.write_text(yaml.safe_dump(fleet, allow_unicode=True), encoding="utf-8")
    as_text = named(rendered(args=["--set-file", f"fleet={file}"]), "ConfigMap", "parlance-fleet")
    as_mapping = named(rendered({"fleet": fleet}), "ConfigMap", "parlance-fleet")
    assert yaml.safe_load(as_text["data"]["fleet.yaml"]) == yaml.safe_load(as_mapping["data"]["fleet.yaml"])


def test_yaml_that_is_none_is_told_as_such(refused: Callable[..., str]) -> None:
    assert "fleet: it cannot be read as YAML with `models:` at the top: " in refused({"fleet": "models: [}"})
    assert "fleet: it cannot be read as YAML with `models:` at the top: " in refused({"fleet": "- a\n- b\n"})


def test_norwegian_is_no_falsehood(refused: Callable[..., str]) -> None:
    """Helm reads YAML 1.1, where the language tag `no` is false; the loader reads 1.2."""
    text = "models: [{use: gemma-2-9b-it, engine: {gpu: L40S-48GB}}]\nrouting: {prior: {no: 0.5}}\n"
    said = refused({"fleet": text})
    assert "fleet.routing.prior.false: the name must be a language tag such as nb or sr-Latn" in said
    assert "YAML reads no, n, off, yes, y and on as false and true: put the name into quotes" in said
