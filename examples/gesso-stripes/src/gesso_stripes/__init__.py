"""The plugin `stripes` for Gesso."""
