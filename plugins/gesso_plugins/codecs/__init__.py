"""The files that pictures become."""
