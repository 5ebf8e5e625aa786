"""ServingValidator: the exported bytes answer as evaluated, fast and small enough."""
