"""Memory of versions that come and go.

The graph of a version is a net of Python objects that refer to each other: closing its
session frees the weights, and the rest waits for the garbage collector, which may not
come for hours. A collection over everything that TensorFlow keeps would hold up requests
for a second; over what came after the start it takes less than a tenth of that.
"""

import ctypes
import gc


def settle() -> None:
  """Called once, when everything is loaded: what is here now stays, and is not looked at again."""
  give_back()
  gc.freeze()


def give_back() -> None:
  """Frees what nobody refers to any more, and gives the pages back to the system."""
  gc.collect()
  try:
    ctypes.CDLL('libc.so.6').malloc_trim(0)
  except (OSError, AttributeError):
    pass  # Another C library keeps its pages.
