"""Contracts: the config tree, feature keys, signature names, error types, curated schemas."""
