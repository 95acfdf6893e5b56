"""Gesso: the generation backend that creative tools share. Importing it costs nothing: public names are loaded when first used."""

from __future__ import annotations

__version__ = "0.1.0"
