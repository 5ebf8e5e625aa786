"""How large an image may be, for Python and for the graph."""

# About 150 MB as RGB bytes; the largest photo of a usual camera stays below.
MAX_PIXELS = 50_000_000
# Of a JPEG, by its definition. Resizing a longer strip would cost more memory
# than its pixels do.
MAX_SIDE = 65_535
