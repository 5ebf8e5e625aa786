"""What a verdict costs beyond the predictions that it is about.

    .venv/bin/python benchmarks/evaluator_cost.py [--images 2000] [--size 96]

Makes photos, two exports of one network with different weights, and the artifacts that the
Evaluator reads, and times in one run: loading each export and having it predict, which is
what cannot be saved, and the whole Evaluator with both models, floors aside: predictions,
TFMA over them, comparison, slices, calibration. Then once more with other bars, where the
answers come from the record of looks. The goal is at most twice the prediction passes and
30 seconds.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import photo_folds
import random_exports
from PIL import Image

LABELS = random_exports.LABELS


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--images', type=int, default=2000)
  parser.add_argument('--size', type=int, default=96, help='pixels of the network')
  parser.add_argument('--backbone', default='efficientnet_b0')
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras', 'tensorflow-model-analysis')
  with tempfile.TemporaryDirectory(prefix='evaluator-') as name:
    folder = pathlib.Path(name)
    with photo_folds.quiet():
      rows = write_photos(folder / 'photos', args.images)
      photo_folds.write_records(folder / 'photos', folder, shares=rows)
      exports = [write_export(folder, args, seed) for seed in (1, 2)]
      passes = sum(predict(folder, export) for export in exports)
      first = evaluate(folder, exports, 0.0)
      second = evaluate(folder, exports, 0.01)
  count = args.images
  print(f'{count} test images, {args.backbone} at {args.size} pixels, two models')
  print(f'  load and predict, both models      {passes:7.1f} s')
  print(f'  Evaluator, both models             {first:7.1f} s   {first / passes:5.2f} of it')
  print(f'  the same, answers from the record  {second:7.1f} s   {second / passes:5.2f}')
  limit = 2 * passes + 30
  word = 'kept' if first <= limit else 'MISSED'
  print(f'  limit, twice and 30 s              {limit:7.1f} s   {word}')


def write_photos(folder: pathlib.Path, test: int) -> dict[str, float]:
  """Writes photos and labels.csv; returns the shares that make `test` of them test."""
  draw = np.random.default_rng(0)
  (folder / 'images').mkdir(parents=True)
  total = round(test / 0.9)
  lines = ['filename,label']
  for number in range(total):
    small = draw.integers(0, 256, (6, 8, 3), np.uint8)
    picture = Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)
    picture.save(folder / 'images' / f'{number}.jpg', quality=90)
    lines.append(f'{number}.jpg,{LABELS[number % len(LABELS)]}')
  (folder / 'labels.csv').write_text('\n'.join(lines) + '\n', encoding='utf-8')
  return {'train': 0.05, 'val': 0.05, 'test': 0.9}


def write_export(folder: pathlib.Path, args: argparse.Namespace, seed: int) -> pathlib.Path:
  """Writes the export of a network with random weights, below a Model artifact's folder."""
  path = folder / f'model-{seed}' / 'Format-Serving'
  random_exports.write(folder, path, args.backbone, args.size, seed)
  return path


def predict(folder: pathlib.Path, export: pathlib.Path) -> float:
  """Returns the seconds that one export takes, from disk to the last probability."""
  import tensorflow as tf

  from models import records
  from schemas import signatures

  files = records.record_files([str(folder / 'Split-test' / '*')])
  began = time.monotonic()
  classify = tf.saved_model.load(str(export)).signatures[signatures.SERVING_EXAMPLES]
  for batch in records.read_records(files).batch(64):
    classify(batch)[signatures.PROBABILITIES].numpy()
  return time.monotonic() - began


def evaluate(folder: pathlib.Path, exports: list[pathlib.Path], bar: float) -> float:
  """Returns the seconds of the Evaluator's executor with two models."""
  import dataclasses

  from tfx.types import standard_artifacts
  from tfx.utils import json_utils, proto_utils

  import components
  from components.evaluator import executor
  from pipeline import evaluation
  from pipeline.create_pipeline import BEAM_ARGS
  from schemas.config import Config

  config = Config.model_validate({'name': 'cost', 'evaluate': {'min_accuracy': bar}})

  def artifact(kind, uri: pathlib.Path, number: int = 0):
    made = kind()
    made.uri, made.id = str(uri), number
    return made

  examples = artifact(standard_artifacts.Examples, folder)
  examples.split_names = json.dumps(['train', 'val', 'test'])
  output = folder / f'evaluated-{bar}'
  kinds = {
    'evaluation': standard_artifacts.ModelEvaluation,
    'blessing': standard_artifacts.ModelBlessing,
    'predictions': components.Predictions,
  }
  for key in kinds:
    (output / key).mkdir(parents=True)
  context = executor.Executor.Context(
    beam_pipeline_args=list(BEAM_ARGS), tmp_dir=str(folder / 'tmp'), unique_id='1'
  )
  began = time.monotonic()
  executor.Executor(context).Do(
    {
      'examples': [examples],
      'model': [artifact(standard_artifacts.Model, exports[0].parent, 1)],
      'baseline_model': [artifact(standard_artifacts.Model, exports[1].parent, 2)],
      'dataset': [artifact(components.Dataset, folder / 'dataset')],
    },
    {key: [artifact(kind, output / key)] for key, kind in kinds.items()},
    {
      'eval_config': proto_utils.proto_to_json(evaluation.eval_config(config)),
      'example_splits': json_utils.dumps(['test']),
      'asked': json.dumps(dataclasses.asdict(evaluation.asked(config))),
      'state_dir': str(folder / 'state'),
      'code_fingerprint': '',
    },
  )
  return time.monotonic() - began


if __name__ == '__main__':
  main()
