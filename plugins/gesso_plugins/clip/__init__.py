"""CLIP: how well a picture fits words. Its training on procedural renders, and the small model that ships with Gesso."""
