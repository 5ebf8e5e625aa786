"""TFX's Trainer with an executor that tells run_fn which run it belongs to."""
