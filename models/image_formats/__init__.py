"""The image files of the world: which one it is, what of it is kept, and how the rest is read."""
