"""The owner's settings: one table of keys, read from flags, environment and `config.toml`, in that order. It acts on none of them."""

from gesso.config.editing import change
from gesso.config.keys import KEYS, Key, Value, key
from gesso.config.settings import Settings, flags, load

__all__ = ["KEYS", "Key", "Settings", "Value", "change", "flags", "key", "load"]
