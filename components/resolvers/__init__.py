"""Resolvers: the model in service, and what the Evaluator first predicted for a model."""
