"""Seamless materials rendered from text by numpy: exact captions, all the maps, no weights.

Import `grammar`, `render`, `captions` or `dataset` directly; this package opens none of them by itself.
"""
