"""One planted fault at a time, and which gate of the pipeline caught it."""
