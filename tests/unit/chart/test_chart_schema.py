"""The values' schema takes every default and every file that ships, and refuses the rest where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from serve.chart import schema
from serve.chart.defaults import fields
from serve.chart.fleets import layered
from serve.chart.parts import Part
from serve.chart.render import CHART
from serve.chart.values import Values
from serve.fleet import catalogue, yaml
from serve.fleet.gpus import gpus

pytestmark = pytest.mark.unit

FILES = sorted(CHART.glob("values-*.yaml"))
DEFAULTS = Values().model_dump(by_alias=True, mode="json")
# No value of the chart is a fraction: of whatever type it should be, this is not it.
NOTHING_TAKES = 3.5


@cache
def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(whole())


def errors(value: Any) -> dict[str, str]:
    """What is wrong by its path, at the depth where it is."""
    found: dict[str, str] = {}
    for error in validator().iter_errors(value):
        for leaf in _leaves(error):
            found["/" + "/".join(str(part) for part in leaf.absolute_path)] = leaf.message
    return found


def _leaves(error: Any) -> Iterator[Any]:
    if not error.context:
        yield error
    for below in error.context:
        yield from _leaves(below)


def paths(part: type[Part] = Values, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The path of every value, and whether it is a part with keys of its own."""
    for field in fields(part):
        yield (*path, field.name), field.always
        if field.always and field.part is not None:
            yield from paths(field.part, (*path, field.name))


def at(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Values with that one in its place."""
    return {path[0]: at(path[1:], value) if len(path) > 1 else value}


@cache
def whole() -> dict[str, Any]:
    return schema.schema()


def test_the_schema_is_one_of_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(whole())
    assert whole()["$schema"] == "http://json-schema.org/draft-07/schema#"


def schemas(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of the schema, with its path; what names values is none."""
    if isinstance(part, dict):
        yield path, part
        for key, below in part.items():
            if key in ("properties", "patternProperties", "definitions"):
                for name, one in below.items():
                    yield from schemas(one, f"{path}/{key}/{name}")
            elif key not in ("default", "enum", "const", "required"):
                yield from schemas(below, f"{path}/{key}")
    elif isinstance(part, list):
        for index, one in enumerate(part):
            yield from schemas(one, f"{path}/{index}")


def test_no_schema_has_words_that_make_sentences_longer() -> None:
    for path, part in schemas(whole()):
        assert not {"title", "propertyNames"} & set(part), path
        # Each alternative of several fails with a line of its own; about what is required, that is right.
        assert all(set(member) == {"required"} for member in part.get("anyOf", ())), path


def test_every_mapping_with_known_keys_takes_no_others() -> None:
    named = {path for path, part in schemas(whole()) if "properties" in part}
    open_ones = {
        path for path, part in schemas(whole()) if "properties" in part and part.get("additionalProperties", True)
    }
    assert len(named) > 50
    assert open_ones == set()


def test_every_reference_leads_somewhere() -> None:
    definitions = whole()["definitions"]
    references = {part["$ref"] for _, part in schemas(whole()) if "$ref" in part}
    assert references <= {f"#/definitions/{name}" for name in definitions}
    assert {f"#/definitions/{name}" for name in definitions} <= references, "definitions that nothing refers to"


def test_the_defaults_are_valid() -> None:
    assert errors(DEFAULTS) == {}
    assert errors(yaml.read(CHART / "values.yaml")) == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_valid_alone_and_over_the_defaults(file: Path) -> None:
    assert errors(yaml.read(file)) == {}
    assert errors(layered([DEFAULTS, yaml.read(file)])) == {}


@pytest.mark.parametrize("part", DEFAULTS)
def test_what_no_value_takes_is_refused_where_it_stands(part: str) -> None:
    """Every value that there is."""
    for path, _ in paths():
        if path[0] == part:
            values = at(path, NOTHING_TAKES)
            assert list(errors(values)) == ["/" + "/".join(path)]
            with pytest.raises(ValidationError):
                Values.model_validate(layered([DEFAULTS, values]))


def test_an_unknown_key_is_refused_in_every_part() -> None:
    parts = [path for path, is_part in paths() if is_part]
    assert len(parts) > 30
    for path in parts:
        values = at((*path, "typoo"), True)
        ((where, said),) = errors(values).items()
        assert where == "/" + "/".join(path)
        assert "'typoo' was unexpected" in said
        with pytest.raises(ValidationError):
            Values.model_validate(layered([DEFAULTS, values]))


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown key": ({"gateway": {"replica": 3}}, "/gateway", "'replica' was unexpected"),
    "a part that is text": ({"gateway": "on"}, "/gateway", "is not of type 'object'"),
    "a number in quotes": ({"gateway": {"replicas": "3"}}, "/gateway/replicas", "is not of type 'integer'"),
    "too many": ({"autoscaler": {"replicas": 11}}, "/autoscaler/replicas", "maximum of 10"),
    "too few": ({"gateway": {"drainSeconds": 0}}, "/gateway/drainSeconds", "minimum of 1"),
    "a word for a switch": ({"autoscaler": {"enabled": "yes"}}, "/autoscaler/enabled", "is not of type 'boolean'"),
    "an unknown word": ({"engines": {"upgrade": "Always"}}, "/engines/upgrade", "is not one of ['None', 'NewCluster']"),
    "a tag that is a number": ({"images": {"engine": {"tag": 1.1}}}, "/images/engine/tag", "is not of type 'string'"),
    "half a digest": ({"images": {"engine": {"digest": "sha256:1"}}}, "/images/engine/digest", "does not match"),
    "no quantity": (
        {"gateway": {"resources": {"limits": {"memory": "2GB"}}}},
        "/gateway/resources/limits/memory",
        "does not match",
    ),
    "a quantity that the API server would take for a fraction": (
        {"engines": {"workers": {"resources": {"requests": {"cpu": 0.5}}}}},
        "/engines/workers/resources/requests/cpu",
        "is not of type 'string', 'integer'",
    ),
    "no name of Kubernetes": ({"fullnameOverride": "My_LLM"}, "/fullnameOverride", "does not match"),
    "a label that is a number": ({"commonLabels": {"team": 1}}, "/commonLabels/team", "is not of type 'string'"),
    "one toleration, not a list": (
        {"gateway": {"tolerations": {"operator": "Exists"}}},
        "/gateway/tolerations",
        "is not of type 'array'",
    ),
    "labels of an unknown GPU": (
        {"engines": {"gpuNodeSelectors": {"H100": {"gpu": "h100"}}}},
        "/engines/gpuNodeSelectors",
        "'H100' was unexpected",
    ),
    "an unknown key of a group": (
        {"engines": {"groups": {"gemma-2-9b-it": {"memory": "1Gi"}}}},
        "/engines/groups/gemma-2-9b-it",
        "'memory' was unexpected",
    ),
    "an unknown key that may be null": (
        {"gateway": {"ingress": {"tls": {"secret": "x"}}}},
        "/gateway/ingress/tls",
        "'secret' was unexpected",
    ),
    "an address without a scheme": ({"prometheus": {"url": "prometheus:9090"}}, "/prometheus/url", "does not match"),
    "no version": ({"engines": {"rayVersion": "latest"}}, "/engines/rayVersion", "does not match"),
    "more than all": (
        {"gateway": {"podDisruptionBudget": {"maxUnavailable": "101%"}}},
        "/gateway/podDisruptionBudget/maxUnavailable",
        "does not match",
    ),
    "a pull secret by another key": (
        {"imagePullSecrets": [{"secret": "x"}]},
        "/imagePullSecrets/0",
        "'secret' was unexpected",
    ),
    "a fleet that is a list": ({"fleet": []}, "/fleet", "is not of type 'object', 'string', 'null'"),
    "a fleet without models": ({"fleet": {"name": "x"}}, "/fleet", "'models' is a required property"),
    "an unknown field of a fleet": ({"fleet": {"models": [{}], "slos": {}}}, "/fleet", "'slos' was unexpected"),
    "an unknown preset": (
        {"fleet": {"models": [{}], "routing": {"quality_floor": "good"}}},
        "/fleet/routing/quality_floor",
        "is not one of ['economy', 'balanced', 'best']",
    ),
    "a floor of an unknown task": (
        {"fleet": {"models": [{}], "routing": {"floors": {"poetry": "best"}}}},
        "/fleet/routing/floors",
        "'poetry' was unexpected",
    ),
}
ENGINES: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown field": ({"tensorparallel": 2}, "", "'tensorparallel' was unexpected"),
    "an unknown GPU": ({"gpu": "H100"}, "/gpu", "is not one of ['H100-SXM-80GB', "),
    "no GPU's name": ({"gpu": 100}, "/gpu", "is not of type 'string', 'null'"),
    "another quantization": ({"quantization": "awq"}, "/quantization", "'fp8' was expected"),
    "no degree": ({"tensor_parallel": 0}, "/tensor_parallel", "minimum of 1"),
    "a context in words": ({"max_model_len": "8k"}, "/max_model_len", "is not of type 'integer', 'null'"),
    "no context": ({"max_model_len": 0}, "/max_model_len", "minimum of 0"),
    "replicas below zero": ({"replicas": {"min": -1}}, "/replicas/min", "minimum of 0"),
    "a flag that is a list": ({"flags": {"seed": [1]}}, "/flags/seed", "is not of type"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_refused_with_its_path(what: str) -> None:
    values, path, said = WRONG[what]
    found = errors(layered([DEFAULTS, values]))
    assert list(found) == [path]
    assert said in found[path]


@pytest.mark.parametrize("what", ENGINES)
def test_a_wrong_field_deep_in_a_fleet_is_refused_with_its_path(what: str) -> None:
    engine, path, said = ENGINES[what]
    in_fleet = {"fleet": {"models": [{"use": "gemma-2-9b-it"}, {"use": "gemma-2-9b-it", "engine": engine}]}}
    in_change = {"models": {"gemma-2-9b-it": {"engine": engine}}}
    for values, above in ((in_fleet, "/fleet/models/1"), (in_change, "/models/gemma-2-9b-it")):
        found = errors(values)
        assert list(found) == [f"{above}/engine{path}"]
        assert said in found[f"{above}/engine{path}"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    engine = {"gpu": "H100", "replicas": {"min": -1}}
    values = {"gateway": {"replica": 1}, "fleet": {"models": [{"use": "gemma-2-9b-it", "engine": engine}]}}
    assert set(errors(values)) == {"/gateway", "/fleet/models/0/engine/gpu", "/fleet/models/0/engine/replicas/min"}


def test_every_gpu_and_every_model_of_the_catalogue_may_be_named() -> None:
    models = [{"use": name, "engine": {"gpu": gpu}} for name in catalogue.names() for gpu in gpus()]
    selectors = {"gpuNodeSelectors": {gpu: {"gpu": "x"} for gpu in gpus()}}
    assert errors({"fleet": {"models": models}, "engines": selectors}) == {}


def test_null_is_taken_wherever_a_fleet_takes_it() -> None:
    entry = {"use": None, "id": "x", "engine": None, "price": None, "upstream": None, "cluster": None}
    engine = {"gpu": None, "quantization": None, "max_model_len": None, "kv_cache_bytes": None}
    assert errors({"fleet": {"models": [entry, {"use": "gemma-2-9b-it", "engine": engine}]}}) == {}
    assert errors({"gateway": {"drainSeconds": None, "ingress": {"tls": None}}, "fleet": None}) == {}


def test_a_change_of_a_model_may_be_any_part_of_it() -> None:
    """An entry of the fleet says what an upstream needs; a change of it need not say it again."""
    key = {"upstream": {"api_key_env": "KEY"}}
    assert errors({"models": {"x": key, "y": {"engine": {"replicas": {"max": 2}}}, "z": {"card": {"layers": 1}}}}) != {}
    assert errors({"models": {"x": key, "y": {"engine": {"replicas": {"max": 2}}}, "z": {"enabled": False}}}) == {}
    found = errors({"fleet": {"models": [{"use": "gemma-2-9b-it", **key}]}})
    assert found == {"/fleet/models/0/upstream": "'base_url' is a required property"}


def test_any_value_may_stand_alone() -> None:
    """An editor holds a file with a few values against the schema, not all of them."""
    for path, _ in paths():
        default: Any = DEFAULTS
        for key in path:
            default = default[key]
        assert errors(at(path, default)) == {}, path


def test_text_is_a_fleet_too() -> None:
    assert errors({"fleet": "models: []"}) == {}


def test_a_text_has_no_range_and_a_number_no_words() -> None:
    floors: Mapping[Any, bool] = {"best": True, "better": False, -15: True, -101: False, True: False}
    for floor, good in floors.items():
        values = {"fleet": {"models": [{"use": "gemma-2-9b-it"}], "routing": {"quality_floor": floor}}}
        assert (errors(values) == {}) is good, floor
