"""What a frozen stage gains where its features are computed once and not every epoch.

    .venv/bin/python benchmarks/frozen_features.py [--epochs 5 10] [--images 512] [--size 96]

The same stage twice in turn, on the same records, with the same seed: with features kept,
as models.training does without augmentation, and with the backbone run on pixels in every
epoch. Seconds are those of the stage in the training's record: tracing, decoding,
computing features and validation (an eighth as many images) included. The turns take place in one
process; the first of each arm, which compiles what the process has not yet seen, is left
out. The val losses say whether both have learnt the same.
"""

import argparse
import csv
import os
import pathlib
import shutil
import statistics
from unittest import mock

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import made_up_photos
import photo_folds
import training_records

ARMS = ('kept', 'every epoch')
GOALS = {5: 5.0, 10: 10.0}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--epochs', type=int, nargs='+', default=[5, 10])
  parser.add_argument('--images', type=int, default=512, help='of train')
  parser.add_argument('--size', type=int, default=96, help='pixels')
  parser.add_argument('--batch', type=int, default=32)
  parser.add_argument('--rounds', type=int, default=2, help='turns of each arm that count')
  parser.add_argument('--backbone', default='efficientnet_b0')
  parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path('runs/bench-features'))
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras')
  with photo_folds.quiet():
    data = training_data(args)
    for arm in ARMS:
      stage(args, data, arm, 1)
  print(f'{args.backbone}, {args.images} images of {args.size} pixels, batch {args.batch}')
  print(f'{"epochs":>6} {"kept":>10} {"every epoch":>12} {"gain":>6} {"goal":>5}  val loss')
  for epochs in args.epochs:
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    losses: dict[str, float] = {}
    for _ in range(args.rounds):
      for arm in ARMS:
        with photo_folds.quiet():
          spent, losses[arm] = stage(args, data, arm, epochs)
        seconds[arm].append(spent)
    kept, anew = (statistics.median(seconds[arm]) for arm in ARMS)
    print(
      f'{epochs:6} {kept:8.1f} s {anew:10.1f} s {anew / kept:6.2f} {GOALS.get(epochs, "-"):>5}  '
      f'{losses["kept"]:.5f} and {losses["every epoch"]:.5f}',
      flush=True,
    )


def training_data(args: argparse.Namespace):
  """Returns a TrainingData of made-up photos."""
  from models.training.data import TrainingData

  root = made_up_photos.write(args.work / f'photos-{args.images}', args.images)
  with open(root / 'labels.csv', encoding='utf-8', newline='') as stream:
    rows = list(csv.DictReader(stream))
  images = [((root / 'images' / row['filename']).read_bytes(), row['label']) for row in rows]
  folder = root / f'records-{args.size}'
  return TrainingData(
    train=[str(training_records.write(folder / 'train.tfrecord', images))],
    val=[str(training_records.write(folder / 'val.tfrecord', images[: args.images // 8]))],
    transform=training_records.transform(images, folder, settings(args, 1).image),
  )


def settings(args: argparse.Namespace, epochs: int):
  from schemas.config import Config

  return Config.model_validate(
    {
      'name': 'bench',
      'image': {'height': args.size, 'width': args.size},
      # Without a change of the images there is one copy to keep.
      'augment': {'shift': 0, 'rotation': 0, 'zoom': 0, 'brightness': 0, 'contrast': 0},
      'model': {'backbone': args.backbone},
      'train': {
        'batch_size': args.batch,
        'early_stopping_patience': epochs + 1,
        'precision': 'float32',
        'checks': False,
        'stages': [{'name': 'head', 'epochs': epochs, 'learning_rate': 1e-3, 'trainable': 'head'}],
      },
    }
  )


def stage(args: argparse.Namespace, data, arm: str, epochs: int) -> tuple[float, float]:
  """Trains the head; returns the stage's seconds and its lowest val loss."""
  from models.training import feeds, run

  folder = args.work / 'run'
  shutil.rmtree(folder, ignore_errors=True)
  keep = feeds.copies_to_keep if arm == 'kept' else lambda *_: 0
  with mock.patch.object(feeds, 'copies_to_keep', keep):
    record = run.train(settings(args, epochs), data, 'none', folder).record
  (one,) = record['stages']
  assert (one['cached_features'] is not None) == (arm == 'kept')
  return one['seconds'], record['best_val_loss']


if __name__ == '__main__':
  main()
