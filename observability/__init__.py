"""The metrics catalogue, dashboards and alerts as code."""
