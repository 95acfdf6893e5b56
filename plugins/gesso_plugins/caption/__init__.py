"""The operation `caption`: which words fit a picture."""
