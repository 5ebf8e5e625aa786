"""From validation to production: a fault of the serving, or other data."""
