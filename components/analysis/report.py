"""Puts an analysis together: asks, compares, draws, and writes analysis.json and pictures/."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from components.analysis import (
  activation,
  asking,
  changes,
  dataset,
  directional,
  errors,
  neighbours,
  network,
  outputs,
  pictures,
  robustness,
)
from schemas import features, weights_hash
from schemas.config import AnalysisConfig, Config
from schemas.errors import SightlineError

# Training images whose features the nearest are looked for in; of more, as many are drawn.
_TRAIN_IMAGES = 5000
_NEAREST = 3
_BATCH = 64
# Of the pictures that are blurred away: a mean of as many is exact enough.
_FADED = 64
_CHECKED = 8


@dataclasses.dataclass(frozen=True)
class Inputs:
  """What an analysis reads.

  Attributes:
    export: the SavedModel.
    run_folder: of the training.
    predictions: folder of predictions.parquet.
    dataset: folder of manifest.parquet.
    audit: folder of the audit; None without one.
    train: record files.
    test: record files.
  """

  export: pathlib.Path
  run_folder: pathlib.Path
  predictions: pathlib.Path
  dataset: pathlib.Path
  audit: pathlib.Path | None
  train: list[str]
  test: list[str]


def write(inputs: Inputs, settings: AnalysisConfig, output: pathlib.Path) -> None:
  """Analyses a model and writes analysis.json and pictures/ into `output`."""
  began = time.monotonic()
  (output / outputs.PICTURES).mkdir()
  identity = weights_hash.read_identity(inputs.export)
  config, labels = Config.model_validate(identity['config']), identity['labels']
  loaded = tf.saved_model.load(str(inputs.export))
  ask = asking.of_model(loaded)
  predicted = errors.read(inputs.predictions)
  found = _asked_again(inputs, settings, predicted, config, labels, ask)
  rows, notes = _errors(inputs, settings, predicted, labels, loaded, output)
  found |= {
    'errors': rows,
    'confused': errors.confused(predicted, labels),
    'notes': notes,
    'seconds': round(time.monotonic() - began, 1),
  }
  (output / outputs.FILE).write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')


def _asked_again(
  inputs: Inputs,
  settings: AnalysisConfig,
  predicted: errors.Predicted,
  config: Config,
  labels: list[str],
  ask: asking.Ask,
) -> dict:
  chosen = robustness.draw(predicted.label_id, settings.images, settings.seed)
  asked = robustness.Asked(
    [predicted.image_id[place] for place in chosen],
    predicted.label_id[chosen],
    predicted.class_id[chosen],
    predicted.probability[chosen],
  )
  harmless = changes.harmless(config.augment, config.data.directional)
  outcomes = robustness.measure(
    asked,
    _decoded(inputs.test, asked.image_id),
    [*changes.robustness(), *harmless],
    ask,
    config.image,
    settings.seed,
  )
  # Drawn evenly over the classes again: the first in file order may be of a few.
  faded = robustness.draw(asked.label_id, _FADED, settings.seed)
  shown = [
    robustness.reduced(pixels, config.image)
    for _, pixels in _decoded(inputs.test, [asked.image_id[place] for place in faded])
  ]
  return {
    'images': len(chosen),
    'robustness': robustness.robustness_rows(outcomes),
    'harmless': robustness.harmless_rows(outcomes),
    'directional': [
      directional.never_better(outcomes, 'noise'),
      directional.never_better(outcomes, 'blur'),
      directional.fades(asked.probability[faded], shown, ask),
      directional.sure_of_nothing(config.image, labels, ask),
    ],
  }


def _decoded(files: list[str], ids: list[str]) -> Iterator[tuple[int, np.ndarray]]:
  """Yields place among `ids` and pixels of each picture, in file order."""
  places = {image_id: place for place, image_id in enumerate(ids)}
  decode = pictures.decoding()
  for image_id, encoded in pictures.find(files, ids):
    yield places[image_id], decode(encoded)


def _errors(
  inputs: Inputs,
  settings: AnalysisConfig,
  predicted: errors.Predicted,
  labels: list[str],
  loaded,
  output: pathlib.Path,
) -> tuple[list[dict], list[str]]:
  """Returns the rows of the surest errors, and what could not be shown and why."""
  wrong = predicted.wrong()[: settings.errors]
  if not len(wrong):
    return [], []
  ids = [predicted.image_id[place] for place in wrong]
  encoded = dict(pictures.find(inputs.test, ids))
  known = dataset.read(inputs.dataset, features.TEST)
  suspect = dataset.suspects(inputs.dataset, inputs.audit)
  rows = []
  for place, image_id in zip(wrong, ids, strict=True):
    path = known.path[image_id]
    rows.append(
      {
        'image_id': image_id,
        'path': path,
        'label': predicted.label[place],
        'predicted': labels[predicted.class_id[place]],
        'probability': float(predicted.probability[place]),
        'suspect': path in suspect,
        'picture': outputs.picture(image_id),
        'overlay': None,
        'nearest': [],
      }
    )
  _save(encoded, output)
  try:
    trained = _trained(inputs, list(encoded.values())[:_CHECKED], loaded)
  except SightlineError as error:
    return rows, [f'Neither overlays nor nearest training images: {error}']
  seen = trained.pixels([encoded[image_id] for image_id in ids])
  notes = _overlay(trained, seen, predicted.class_id[wrong], rows, output)
  _nearest(inputs, settings, trained, seen, rows, output)
  return rows, notes


def _trained(inputs: Inputs, encoded: list[bytes], loaded) -> network.Network:
  trained = network.rebuild(inputs.export, loaded, inputs.run_folder)
  network.check(trained, encoded, asking.of_model(loaded))
  return trained


def _overlay(
  trained: network.Network,
  seen: tf.Tensor,
  class_ids: np.ndarray,
  rows: list[dict],
  output: pathlib.Path,
) -> list[str]:
  parts = activation.cut(trained.classifier)
  if parts is None:
    return [
      f'No overlays: the network has no feature map of at least {activation.LEAST_CELLS} x '
      f'{activation.LEAST_CELLS} cells.'
    ]
  pixels = seen.numpy()
  heat = activation.heat(parts, pixels, class_ids)
  for row, one, cells in zip(rows, pixels, heat, strict=True):
    row['overlay'] = outputs.activation(row['image_id'])
    pictures.write(activation.overlay(one, cells), output / row['overlay'])
  height, width = heat.shape[1:]
  return [f'Overlays show layer {parts.layer}, {height} x {width} cells.']


def _nearest(
  inputs: Inputs,
  settings: AnalysisConfig,
  trained: network.Network,
  seen: tf.Tensor,
  rows: list[dict],
  output: pathlib.Path,
) -> None:
  known = dataset.read(inputs.dataset, features.TRAIN)
  ids = sorted(known.path)
  if len(ids) > _TRAIN_IMAGES:
    drawn = np.random.default_rng(settings.seed).choice(len(ids), _TRAIN_IMAGES, replace=False)
    ids = [ids[place] for place in np.sort(drawn)]
  describe = network.describing(trained, _BATCH)
  found = neighbours.nearest(
    describe(seen), _described(inputs.train, ids, trained, describe), _NEAREST
  )
  for row, near in zip(rows, found, strict=True):
    row['nearest'] = [
      {
        'image_id': image_id,
        'path': known.path[image_id],
        'label': known.label[image_id],
        'distance': distance,
        'picture': outputs.picture(image_id),
      }
      for image_id, distance in near
    ]
  _save(dict(pictures.find(inputs.train, {name for near in found for name, _ in near})), output)


def _described(
  files: list[str], ids: list[str], trained: network.Network, describe
) -> Iterator[tuple[list[str], np.ndarray]]:
  batch: dict[str, bytes] = {}

  def described() -> tuple[list[str], np.ndarray]:
    return list(batch), describe(trained.pixels(list(batch.values())))

  for image_id, encoded in pictures.find(files, ids):
    batch[image_id] = encoded
    if len(batch) == _BATCH:
      yield described()
      batch = {}
  if batch:
    yield described()


def _save(encoded: dict[str, bytes], output: pathlib.Path) -> None:
  decode = pictures.decoding()
  for image_id, one in encoded.items():
    pictures.save(decode(one), output / outputs.picture(image_id))
