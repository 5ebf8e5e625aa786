"""Which version answers: labels, their moves, their record, and what a candidate would change."""
