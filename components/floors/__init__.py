"""Floors: simple models on the same images, that a network has to beat."""
