"""Bridges: thin clients of the daemon inside host applications, and the commands that install them. They generate nothing themselves."""
