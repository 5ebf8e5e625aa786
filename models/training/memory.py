"""How much memory a training needs, and how much this process can still get."""

import math
import pathlib

import keras
import psutil
import tensorflow as tf

# What TensorFlow takes to trace and run a step, whatever the network: measured for the rows
# below, 0.3 to 0.4 GB.
RUNTIME = 300_000_000

# Slots of an optimizer for each variable: AdamW keeps two moments, SGD one.
_SLOTS = 2

_PROC = pathlib.Path('/proc/self/cgroup')
_CGROUPS = pathlib.Path('/sys/fs/cgroup')
# Limit, use and, within memory.stat, what can be dropped: of version 2 and of version 1.
_VERSION_2 = ('memory.max', 'memory.current', 'inactive_file')
_VERSION_1 = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')


def estimate(model: keras.Model, batch_size: int) -> int:
  """Estimates by how many bytes the process grows until a training step is at its peak.

  The sum of RUNTIME; of all variables; of a gradient and two slots of the optimizer
  for each variable that is trainable now; and of the outputs of all layers for one
  batch, those of nested models too, each in the dtype that its layer computes in.
  Against the measured growth on two CPU cores, float32, batches of 32, AdamW: 0.41 of
  0.41 GB (EfficientNet small at 64 pixels), 0.95 of 1.12 GB (B0 at 96), 1.02 of 0.96
  GB (ResNet-50 at 64), 2.00 of 1.54 GB (ResNet-50 at 128).

  Args:
    model: built, with the trainable layers of the stage in question.
    batch_size: images a batch.
  """
  variables = sum(_bytes(one.shape, one.dtype) for one in model.variables)
  learning = sum(_bytes(one.shape, one.dtype) for one in model.trainable_variables)
  activations = sum(
    _bytes(shape[1:], layer.compute_dtype)
    for layer in model._flatten_layers(include_self=False)
    if not isinstance(layer, keras.Model | keras.layers.InputLayer)
    for shape in _output_shapes(layer)
  )
  return RUNTIME + variables + learning * (1 + _SLOTS) + activations * batch_size


def _output_shapes(layer: keras.layers.Layer) -> list[tuple]:
  # The first node is the layer's own place; a model of a part of the layers adds others.
  return [
    tensor.shape
    for node in layer._inbound_nodes[:1]
    for tensor in node.output_tensors
    if None not in tensor.shape[1:]
  ]


def _bytes(shape: tuple, dtype: str) -> int:
  return math.prod(shape) * tf.as_dtype(dtype).size


def available() -> int:
  """Returns the bytes that this process can still get: of the machine, or of its cgroup."""
  left = [_left(folder, _VERSION_2) for folder in _folders('', _CGROUPS)]
  left += [_left(folder, _VERSION_1) for folder in _folders('memory', _CGROUPS / 'memory')]
  return min([psutil.virtual_memory().available, *(one for one in left if one is not None)])


def _folders(controller: str, root: pathlib.Path) -> list[pathlib.Path]:
  """Returns this process's cgroup and those above it, which limit it as well."""
  try:
    lines = _PROC.read_text(encoding='utf-8').splitlines()
  except OSError:
    return []
  for line in lines:
    _, names, path = line.split(':', 2)
    if controller in names.split(','):
      folder = root / path.strip('/')
      # In a container the path may be that of the host, while the root is the container's own.
      return [one for one in (folder, *folder.parents) if one.is_relative_to(root)]
  return []


def _left(folder: pathlib.Path, names: tuple[str, str, str]) -> int | None:
  limit, used, droppable = names
  try:
    most = int((folder / limit).read_text(encoding='ascii'))
    now = int((folder / used).read_text(encoding='ascii'))
    stat = (folder / 'memory.stat').read_text(encoding='ascii')
  except (OSError, ValueError):  # no such file; or 'max', which is no limit
    return None
  words = dict(line.split(maxsplit=1) for line in stat.splitlines())
  return max(most - now + int(words.get(droppable, 0)), 0)
