"""Serving: the fleet description, the choice of a model, the gateway and the engines."""
