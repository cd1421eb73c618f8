"""Model to artifact, one room per target."""
