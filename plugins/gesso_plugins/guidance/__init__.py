"""Guidance: how several predictions of one moment become the x0 that a sampler is given, one method a file."""
