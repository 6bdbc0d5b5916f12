"""Replica counts from Prometheus data. Empty until the autoscaler's issue; imports only what is pure from `serve`."""
