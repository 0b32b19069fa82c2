"""Choosing among prompts and models for a dataset (FUTE, section 5.2)."""
