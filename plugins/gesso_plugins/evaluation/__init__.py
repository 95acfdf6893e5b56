"""Measuring what a model makes against pictures with their captions."""
