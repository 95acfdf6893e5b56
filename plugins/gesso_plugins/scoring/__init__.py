"""Scorers that look at pixels only: sharpness, and how well a texture wraps around."""
