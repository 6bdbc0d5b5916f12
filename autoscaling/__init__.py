"""Replica counts from Prometheus data. From `serve` it imports the fleet description, errors and pure logic only."""
