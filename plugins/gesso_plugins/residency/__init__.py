"""Loads a model when a worker starts, so that the first job need not wait for it."""
