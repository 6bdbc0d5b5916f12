"""vLLM on Ray Serve: the application, its configuration from a fleet, and tiny models."""
