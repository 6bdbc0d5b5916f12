"""Recording rules and alerts, rendered from the metrics' catalogue and a fleet's objectives."""
