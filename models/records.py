"""Record files that ExampleGen wrote: which there are, how many examples, how they are read."""

import dataclasses
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from schemas.errors import TrainingError


@dataclasses.dataclass(frozen=True)
class Records:
  """Record files, counted once: that reads all of them.

  Attributes:
    files: in the order in which they are read.
    count: of the examples in them.
    size: of the files, bytes.
  """

  files: tuple[str, ...]
  count: int
  size: int

  def steps(self, batch_size: int) -> int:
    """Returns the number of batches in an epoch."""
    return -(-self.count // batch_size)


def count(files: Sequence[str]) -> Records:
  """Counts the examples in record files."""
  total = read_records(files).reduce(tf.constant(0, tf.int64), lambda so_far, _: so_far + 1)
  size = sum(pathlib.Path(file).stat().st_size for file in files)
  return Records(tuple(files), int(total.numpy()), size)


def record_files(patterns: Sequence[str]) -> list[str]:
  """Returns the record files that match, in the order of their names.

  Raises:
    TrainingError: if there is none.
  """
  files = sorted(
    str(path)
    for pattern in patterns
    for path in pathlib.Path(pattern).parent.glob(pathlib.Path(pattern).name)
  )
  if not files:
    raise TrainingError(f'expected record files. Received: none match {", ".join(patterns)}.')
  return files


def read_records(files: Sequence[str]) -> tf.data.Dataset:
  """Returns serialised tf.Examples, string [], in file order."""
  compression = 'GZIP' if all(name.endswith('.gz') for name in files) else ''
  return tf.data.TFRecordDataset(list(files), compression_type=compression)
