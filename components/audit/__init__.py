"""Audit: what a person should see of the data before anything is trained on it."""
