"""Recording rules and alerts, rendered from the metrics' catalogue and a fleet's objectives."""

from pathlib import Path

from observability.rules.render import RUNBOOKS, render
from observability.rules.table import table
from serve.fleet import loader

# What the files of this repository are rendered for: the default objectives, engines on one cluster.
DEFAULT_FLEET = Path(loader.__file__).parent / "examples" / "8xh100.yaml"

__all__ = ["DEFAULT_FLEET", "RUNBOOKS", "render", "table"]
