"""What Evaluator saw: the candidate's probabilities in predictions.parquet."""

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
  with fileio.open(f'{uri}/{FILE}', 'rb') as stream:
    table = pq.read_table(io.BytesIO(stream.read()), columns=[_IMAGE_ID, _CANDIDATE])
  return {
    name: np.asarray(row, np.float32)
    for name, row in zip(table[_IMAGE_ID].to_pylist(), table[_CANDIDATE].to_pylist(), strict=True)
  }
