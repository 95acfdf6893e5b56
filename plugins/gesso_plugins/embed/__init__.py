"""Pictures and words as vectors."""
