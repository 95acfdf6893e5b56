"""What client and daemon share: codec, proofs, ZMTP, and where the daemon is found. Standard library only (3.9): hosts copy it."""
