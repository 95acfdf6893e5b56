"""Filters that an owner may turn on in config.toml: words that may not be asked for, files without recipes."""
