"""The choice of a model: pure functions of a request, a fleet, its live state and the time."""
