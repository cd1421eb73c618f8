"""A verdict or an inspection for a reader. Decides nothing."""
