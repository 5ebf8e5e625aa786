"""TFX's Evaluator, which here also stores predictions and says why it decided."""
