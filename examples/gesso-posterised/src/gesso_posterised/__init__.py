"""Posterises a picture, with a Pillow that Gesso does not run with."""
