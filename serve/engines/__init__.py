"""vLLM on Ray Serve: the application, its configuration from a fleet, tiny models, and the local stack."""
