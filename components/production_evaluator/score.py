"""What a model is worth on what was served: one figure, and the labels it cannot know."""

import collections
import dataclasses
import json
import pathlib

import numpy as np
import pyarrow.parquet as pq

from components.evaluator import metrics, verdict

FILE = 'production.json'


@dataclasses.dataclass(frozen=True)
class Score:
  """The figures on the split `production`.

  Attributes:
    accuracy: value, n and interval. An image whose label no training image has
      counts as wrong, whatever the model says.
    unknown_labels: number of such images by label.
    slices: key, value, n, accuracy and interval of each slice, as in the verdict.
  """

  accuracy: dict
  unknown_labels: dict[str, int]
  slices: list[dict]

  def write(self, folder: pathlib.Path) -> None:
    (folder / FILE).write_text(
      json.dumps(dataclasses.asdict(self), indent=2) + '\n', encoding='utf-8'
    )


def score(evaluation: pathlib.Path, predicted: pathlib.Path) -> Score:
  """Reads the stored predictions, and TFMA's results where there are images.

  Args:
    evaluation: where TFMA wrote its results.
    predicted: predictions.parquet.
  """
  table = pq.read_table(predicted)
  if not table.num_rows:
    return Score(metrics.proportion(0, 0), {}, [])
  truth = table['label_id'].to_numpy()
  answers = np.array(table['candidate'].to_pylist(), np.float32).argmax(axis=1)
  unknown = collections.Counter(
    label for label, known in zip(table['label'].to_pylist(), truth >= 0, strict=True) if not known
  )
  return Score(
    metrics.proportion(int((answers == truth).sum()), len(truth)),
    dict(sorted(unknown.items())),
    verdict.slices(evaluation, with_baseline=False),
  )


def images(predicted: pathlib.Path) -> int:
  """Returns the number of images that predictions.parquet holds."""
  return pq.read_metadata(predicted).num_rows
