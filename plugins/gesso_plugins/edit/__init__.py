"""Editing: change what a mask covers and nothing else. Geometry, masks, the invisible border, and the operations that use them."""
