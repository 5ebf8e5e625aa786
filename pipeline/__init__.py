"""Wiring: the pipeline, its runners, the command line and the experiments."""
