"""The models on an owner's disk: what each file is, by its header alone, and which of them Gesso knows by name. Standard library only; it
reads no weight, imports no plugin and runs nothing.
"""

from gesso.library import hashes
from gesso.library.header import Header, read_header
from gesso.library.listing import ModelList
from gesso.library.recognition import Layout, Layouts, read_layouts
from gesso.library.snapshot import read_json, weight_files
from gesso.library.survey import Found, examine

__all__ = [
    "Found",
    "Header",
    "Layout",
    "Layouts",
    "ModelList",
    "examine",
    "hashes",
    "read_header",
    "read_json",
    "read_layouts",
    "weight_files",
]
