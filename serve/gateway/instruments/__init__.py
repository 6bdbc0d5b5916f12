"""Everything that one gateway worker counts, with label values that are bounded by the description."""

from serve.gateway.instruments.bounds import NO_MODEL, languages_of
from serve.gateway.instruments.families import Counts, Levels, NanoCounts, Times
from serve.gateway.instruments.instruments import Instruments

__all__ = ["NO_MODEL", "Counts", "Instruments", "Levels", "NanoCounts", "Times", "languages_of"]
