"""The plugin `midway` for Gesso."""
