"""The styles that ship with Gesso."""
