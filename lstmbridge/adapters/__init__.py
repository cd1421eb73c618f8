"""Named tensors and graph to a Model. Spellings and layouts are data."""
