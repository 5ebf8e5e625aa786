"""The page about one run: what came of it first, and then all that it rests on."""
