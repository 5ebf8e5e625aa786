"""A network that may be tried out and is afterwards what it was."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def kept(model: keras.Model) -> Iterator[None]:
  """Puts back, bit for bit, whatever the block changes in the model's state.

  That is every variable (weights, BatchNorm's statistics, the seeds of dropout) and
  what is trainable of it. The copy lies in main memory.
  """
  values = [(variable, variable.numpy()) for variable in model.variables]
  trainable = [(variable, variable.trainable) for variable in model.variables]
  layers = [(layer, layer.trainable) for layer in model._flatten_layers()]
  try:
    yield
  finally:
    for layer, flag in layers:
      # The property would pass the flag on to layers inside, which have their own.
      layer._trainable = flag
    for variable, flag in trainable:
      variable.trainable = flag
    for variable, value in values:
      variable.assign(value)
