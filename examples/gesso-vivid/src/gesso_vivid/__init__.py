"""The plugin `vivid` for Gesso."""
