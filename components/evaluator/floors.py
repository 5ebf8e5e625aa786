"""What simple models answer on the same images, beside the network."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq
from tfx.dsl.io import fileio

from components.evaluator import comparison, metrics
from components.floors import executor as floors
from schemas.errors import DataError


@dataclasses.dataclass(frozen=True)
class Answers:
  """What the floors answer, in the order of the predictions.

  Attributes:
    right: bool [N] by the floor's name.
    best: the name of the floor that is best on val; None without a classical one.
    seconds: that each took, by name.
    ids_sha256: of the ids of the N images, sorted.
  """

  right: dict[str, np.ndarray]
  best: str | None
  seconds: dict[str, float]
  ids_sha256: str


def read(uri: str, image_ids: Sequence[str]) -> Answers:
  """Reads floors.parquet and floors.json.

  Args:
    uri: of the floors artifact.
    image_ids: of the images that the network was judged on.

  Raises:
    DataError: the floors answered other images.
  """
  with fileio.open(f'{uri}/{floors.ANSWERS_FILE}', 'rb') as stream:
    table = pq.read_table(io.BytesIO(stream.read()))
  with fileio.open(f'{uri}/{floors.SUMMARY_FILE}', 'r') as stream:
    summary = json.loads(stream.read())
  theirs = table['image_id'].to_pylist()
  ours, found = ids_sha256(image_ids), ids_sha256(theirs)
  if ours != found:
    raise DataError(
      f'{uri}: expected the floors to answer the {len(image_ids)} images that the network was '
      f'judged on. Received: {len(theirs)} images, and another hash of their ids. Examples and '
      'dataset are to be of one run.'
    )
  labels = np.array(table['label'].to_pylist())
  places = {image_id: place for place, image_id in enumerate(theirs)}
  order = np.array([places[image_id] for image_id in image_ids], np.int64)
  right = {
    floor['name']: (np.array(table[floor['name']].to_pylist()) == labels)[order]
    for floor in summary['floors']
  }
  return Answers(
    right,
    summary['best'],
    {floor['name']: floor['seconds'] for floor in summary['floors']},
    ours,
  )


def ids_sha256(image_ids: Sequence[str]) -> str:
  """Returns the hash of some ids, in whatever order they come."""
  return hashlib.sha256('\n'.join(sorted(image_ids)).encode()).hexdigest()


def measure(answers: Answers, ours: np.ndarray, clusters: Sequence[str]) -> dict:
  """Compares the network with each floor.

  Args:
    answers: of the floors.
    ours: bool [N], whether the network has each image right.
    clusters: of the images, as comparison.compare takes them.

  Returns:
    `best`, `ids_sha256`, and `floors`, best on test first: name, accuracy with n and
    interval, seconds, and the comparison of the network with it.
  """
  rows: list[dict] = [
    {
      'name': name,
      'accuracy': metrics.proportion(int(right.sum()), len(right)),
      'seconds': answers.seconds[name],
      'comparison': dataclasses.asdict(comparison.compare(ours, right, clusters, 0.0)),
    }
    for name, right in answers.right.items()
  ]
  rows.sort(key=lambda row: -row['accuracy']['value'])
  return {'best': answers.best, 'ids_sha256': answers.ids_sha256, 'floors': rows}


def refusal(measured: dict) -> str | None:
  """Returns a sentence where the network is not better than the best floor beyond chance."""
  found = next((row for row in measured['floors'] if row['name'] == measured['best']), None)
  if found is None or found['comparison']['verdict'] == 'better':
    return None
  compared = comparison.Comparison(**found['comparison'])
  return (
    f'It is not better, beyond chance, than the best simple model ({found["name"]}, '
    f'{found["accuracy"]["value"]:.4f}): accuracy {compared.in_words()}. Publish the simple model, '
    'enlarge train or test, or show the floor only: floors.gates: false with floors.reason.'
  )
