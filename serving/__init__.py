"""The embedded model server, its client and its door."""
