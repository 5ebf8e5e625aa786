"""Code of your own, named in a config by its dotted path."""
