"""Reads thumbnails and manifest, has the floors fitted, and writes what they answer on test."""

import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components import local_folder
from components.audit import dataset as datasets
from components.floors import models
from components.image_example_gen import ingest
from schemas import features
from schemas.errors import DataError

DATASET = 'dataset'
FLOORS = 'floors'
CODE_FINGERPRINT = 'code_fingerprint'

ANSWERS_FILE = 'floors.parquet'
SUMMARY_FILE = 'floors.json'


class Executor(base_executor.BaseExecutor):
  """Executor of Floors."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Fits them; see component.py."""
    with (
      local_folder.reading(artifact_utils.get_single_uri(input_dict[DATASET])) as folder,
      local_folder.writing(artifact_utils.get_single_uri(output_dict[FLOORS])) as output,
    ):
      write(folder, output)


def write(dataset: pathlib.Path, output: pathlib.Path) -> None:
  """Writes floors.parquet and floors.json.

  Args:
    dataset: the folder of a components.Dataset.
    output: floors.parquet has a row an image of test: `image_id`, `label`, and a column of
      class names for each floor. floors.json holds `floors` (name, val_accuracy, seconds),
      `best` (the name of the best on val, or null) and `train_images` that were fitted to.

  Raises:
    DataError: the dataset has no thumbnails, or no images to fit to.
  """
  images = datasets.images(dataset)
  split = np.array(images.split)
  train = np.flatnonzero(split == features.TRAIN)
  if images.thumbnails is None or not len(train):
    raise DataError(
      f'{dataset}: expected {ingest.THUMBNAILS_FILE} and images of train. Received: '
      f'{len(train)} images of train{", no thumbnails" if images.thumbnails is None else ""}. '
      'Let ImageExampleGen run again, or set floors.fit: false.'
    )
  labels = np.array(images.label)
  val, asked = (np.flatnonzero(split == name) for name in (features.VAL, features.TEST))
  floors = list(models.fit(np.asarray(images.thumbnails), labels, train, val, asked))
  table = pq.read_table(dataset / ingest.MANIFEST_FILE, columns=['image_id']).take(asked)
  columns = {'image_id': table['image_id'], 'label': labels[asked].tolist()}
  columns |= {floor.name: pa.array(floor.answers.tolist(), pa.string()) for floor in floors}
  pq.write_table(pa.table(columns), output / ANSWERS_FILE)
  chosen = models.best(floors)
  found = {
    'best': chosen.name if chosen else None,
    'train_images': min(len(train), models.MOST_IMAGES),
    'floors': [
      {
        'name': floor.name,
        'val_accuracy': floor.val_accuracy,
        'seconds': round(floor.seconds, 2),
      }
      for floor in floors
    ],
  }
  (output / SUMMARY_FILE).write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')
