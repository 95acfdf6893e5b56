"""What every `gesso train` shares: data on disk, optimiser, average, checkpoints, record, pictures. It knows no model of its own."""
