"""Artifact or model to outputs, one file per runtime."""
