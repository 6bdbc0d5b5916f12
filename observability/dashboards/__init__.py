"""Grafana's dashboards as code: panels over the catalogue's metrics."""
