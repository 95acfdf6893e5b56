"""Brings in the fixtures that Gesso offers to plugins: a studio, fake denoisers, a daemon of one's own."""

pytest_plugins = ["gesso.testing.fixtures"]
