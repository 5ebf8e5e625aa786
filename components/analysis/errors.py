"""The errors among stored predictions: the surest ones, and the pairs that are confused."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.evaluator import predictions

# What a page can show of one pair, or of all pairs.
_IMAGES_OF_A_PAIR = 24
_PAIRS = 20


@dataclasses.dataclass(frozen=True)
class Predicted:
  """What the model answered about N test images.

  Attributes:
    image_id: N ids.
    label: N names, the truth.
    label_id: int64 [N]; none of 0 to K - 1 for a label that train lacks.
    class_id: int64 [N], the answer.
    probability: float64 [N], of the answer.
  """

  image_id: list[str]
  label: list[str]
  label_id: np.ndarray
  class_id: np.ndarray
  probability: np.ndarray

  def wrong(self) -> np.ndarray:
    """Returns the positions of the errors, the surest first; of equals by id."""
    found = np.flatnonzero(self.class_id != self.label_id)
    ids = np.array(self.image_id)[found]
    return found[np.lexsort((ids, -self.probability[found]))]


def read(folder: pathlib.Path) -> Predicted:
  """Reads predictions.parquet; of files with equal bytes, which share an id, the first."""
  table = pq.read_table(
    folder / predictions.FILE, columns=['image_id', 'label', 'label_id', 'candidate']
  )
  ids = table['image_id'].to_pylist()
  _, first = np.unique(ids, return_index=True)
  table = table.take(np.sort(first))
  rows = np.array(table['candidate'].to_pylist(), np.float64)
  return Predicted(
    table['image_id'].to_pylist(),
    table['label'].to_pylist(),
    table['label_id'].to_numpy(),
    rows.argmax(axis=1),
    rows.max(axis=1),
  )


def confused(predicted: Predicted, labels: list[str]) -> list[dict]:
  """Returns the most confused pairs, rows of analysis.json: of each the surest errors first."""
  pairs: dict[tuple[str, str], list[str]] = {}
  for place in predicted.wrong():
    pair = (predicted.label[place], labels[predicted.class_id[place]])
    pairs.setdefault(pair, []).append(predicted.image_id[place])
  rows: list[dict[str, Any]] = [
    {
      'label': label,
      'predicted': answer,
      'count': len(ids),
      'of': predicted.label.count(label),
      'image_ids': ids[:_IMAGES_OF_A_PAIR],
    }
    for (label, answer), ids in pairs.items()
  ]
  return sorted(rows, key=lambda row: (-row['count'], row['label'], row['predicted']))[:_PAIRS]
