"""Training: from records to a classifier, with everything that a specialist looks at."""
