"""What Evaluator saw: the candidate's probabilities in predictions.parquet."""

import hashlib
import io

import numpy as np
import pyarrow.parquet as pq
from tfx.dsl.io import fileio

FILE = 'predictions.parquet'
_IMAGE_ID, _CANDIDATE = 'image_id', 'candidate'


def read(uri: str) -> dict[str, np.ndarray]:
  """Returns float32 [K] by image id.

  Args:
    uri: of the predictions artifact.
  """
  table = _table(uri)
  return {name: np.asarray(row, np.float32) for name, row in zip(
      table[_IMAGE_ID].to_pylist(), table[_CANDIDATE].to_pylist(), strict=True)}


def digest(uri: str) -> str:
  """Returns a hash of the image ids and the candidate's probabilities, in file order."""
  table = _table(uri)
  seen = hashlib.sha256('\n'.join(table[_IMAGE_ID].to_pylist()).encode())
  for row in table[_CANDIDATE].to_pylist():
    seen.update(np.asarray(row, np.float32).tobytes() + b'\n')
  return seen.hexdigest()


def _table(uri: str):
  with fileio.open(f'{uri}/{FILE}', 'rb') as stream:
    return pq.read_table(io.BytesIO(stream.read()), columns=[_IMAGE_ID, _CANDIDATE])
