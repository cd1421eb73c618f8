"""A GraphDef as functions, and what its nodes state."""
