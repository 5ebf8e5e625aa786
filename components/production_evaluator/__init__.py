"""ProductionEvaluator: how the model does on what was served. It blesses nothing."""
