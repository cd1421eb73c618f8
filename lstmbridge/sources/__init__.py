"""Bytes to named lazy tensors. No gate words in here."""
