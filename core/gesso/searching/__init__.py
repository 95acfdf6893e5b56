"""Search in what was made: a copy of the journal's pictures as vectors, and the pictures that are nearest to words or to a picture."""

from gesso.searching.index import Hit, Index, Picture
from gesso.searching.sync import Found, embed, synchronise

__all__ = ["Found", "Hit", "Index", "Picture", "embed", "synchronise"]
