"""Settings of every test: hypothesis without deadlines (shared machines), and a loud count of what was skipped."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, so that a change is refused for what it did; `make test-explore` looks for others.
settings.register_profile(
    "parlance",
    deadline=None,
    max_examples=60,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("parlance"), max_examples=1000, derandomize=False)
settings.load_profile("parlance")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was not tested, each with its reason: a green run must not hide it."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_sep("!", f"{len(skipped)} SKIPPED", yellow=True, bold=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.write_line(f"  {report.nodeid}: {reason}")
