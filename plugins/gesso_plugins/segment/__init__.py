"""Models that mark in a picture what words name."""
