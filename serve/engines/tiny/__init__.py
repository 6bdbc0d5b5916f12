"""Tiny random models of the fleet's true architectures: what a machine without a GPU serves."""

from serve.engines.tiny.build import build, directory

__all__ = ["build", "directory"]
