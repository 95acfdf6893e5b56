"""The plugin `washed` for Gesso."""
