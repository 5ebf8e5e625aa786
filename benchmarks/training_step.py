"""Images a second of the Trainer's loop beside those of a bare training step.

    .venv/bin/python benchmarks/training_step.py [--sizes 96 224] [--rounds 4] [--work DIR]

The Trainer's loop reads JPEGs from records, decodes, augments, trains, counts, reports
and keeps checkpoints, as in a run: models.training.run.train with default settings. The
bare step is a tf.function over one batch that lies in memory: forward, loss, backward,
clipping and Keras' own AdamW, on the same network under the same precision. They take
turns in one process: the bare steps run at the end of each epoch, when the loop has
nothing under way. The first turn, which traces and compiles, is left out.

`whole epoch` is wall clock from an epoch's first batch to its end, with reports and a
validation of two images; `its steps` is what the curves of the run say. What carries over to
another machine is the ratio.
"""

import argparse
import csv
import logging
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import made_up_photos
import photo_folds
import training_records

GOAL = 0.95
SEED = 0


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--sizes', type=int, nargs='+', default=[96, 224])
  parser.add_argument('--batch', type=int, default=32)
  parser.add_argument('--steps', type=int, default=10, help='of a turn')
  parser.add_argument('--rounds', type=int, default=4, help='turns of each')
  parser.add_argument('--backbone', default='efficientnet_b0')
  parser.add_argument('--precision', default='float32')
  parser.add_argument(
    '--not-deterministic', action='store_true', help='train.deterministic: false for the loop'
  )
  parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path('runs/bench-training-step'))
  parser.add_argument('--child', action='store_true', help='measure in this process')
  args = parser.parse_args()
  if args.child:
    measure(args, args.sizes[0])
    sys.stdout.flush()
    # Without the end of the interpreter, in which TensorFlow may crash over a graph that
    # Transform made.
    os._exit(0)
  photo_folds.say_machine('tensorflow', 'keras')
  photos(args)
  for size in args.sizes:
    # A fresh process for each: what one size left in memory does not count for the next.
    subprocess.run([sys.executable, *sys.argv, '--child', '--sizes', str(size)], check=True)


def photos(args: argparse.Namespace) -> pathlib.Path:
  count = args.steps * args.batch
  return made_up_photos.write(args.work / f'photos-{count}', count)


def training_data(args: argparse.Namespace, image):
  """Returns a TrainingData: train is one turn's images, val two of them."""
  from models.training.data import TrainingData

  root = photos(args)
  with open(root / 'labels.csv', encoding='utf-8', newline='') as stream:
    rows = list(csv.DictReader(stream))
  images = [((root / 'images' / row['filename']).read_bytes(), row['label']) for row in rows]
  folder = root / f'records-{image.height}'
  return TrainingData(
    train=[str(training_records.write(folder / 'train.tfrecord', images))],
    val=[str(training_records.write(folder / 'val.tfrecord', images[:2]))],
    transform=training_records.transform(images, folder, image),
  )


def measure(args: argparse.Namespace, size: int) -> None:
  """Trains for as many epochs as turns, with the bare steps in between; prints a table."""
  with photo_folds.quiet():
    from models.training import progress, run
    from schemas.config import Config

    config = Config.model_validate(
      {
        'name': 'bench',
        'image': {'height': size, 'width': size},
        'model': {'backbone': args.backbone},
        'train': {
          'batch_size': args.batch,
          'epochs': args.rounds + 1,
          'early_stopping_patience': args.rounds + 1,
          'precision': args.precision,
          'deterministic': not args.not_deterministic,
          'checks': False,
          'seed': SEED,
        },
      }
    )
    data = training_data(args, config.image)
    bare = Bare(config, len(data.labels), args.steps)
    turns = Turns(bare)
    log = logging.getLogger(progress.LOGGER)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(turns)
    folder = args.work / f'run-{size}'
    shutil.rmtree(folder, ignore_errors=True)
    record = run.train(config, data, 'none', folder).record
    rows = list(csv.DictReader(open(folder / 'curves.csv', encoding='utf-8')))
  images = args.steps * args.batch
  say(
    f'{args.backbone}, {size} x {size}, batch {args.batch}, {record["compute_dtype"]}: '
    f'{args.rounds} turns of {args.steps} steps',
    [images / seconds for seconds in turns.loop[1:]],
    [float(row['images_per_second']) for row in rows[1:]],
    [images / seconds for seconds in bare.seconds[1:]],
  )


class Turns(logging.Handler):
  """Times each epoch of the loop, and has the bare steps run after it."""

  def __init__(self, bare):
    super().__init__()
    self._bare = bare
    self._began = time.monotonic()
    self.loop: list[float] = []

  def emit(self, record: logging.LogRecord) -> None:
    event = getattr(record, 'event', {})
    if event.get('kind') == 'epoch':
      self.loop.append(time.monotonic() - self._began)
      self._bare.turn()
      self._began = time.monotonic()


class Bare:
  """A training step and nothing else, on one batch in memory."""

  def __init__(self, config, classes: int, steps: int):
    import keras
    import numpy as np
    import tensorflow as tf

    from models import classifier

    self._steps = steps
    self.seconds: list[float] = []
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.train.precision)
    draw = np.random.default_rng(SEED)
    half: np.ndarray = np.full(3, 0.5, np.float32)
    model = classifier.build(config.model, config.image, classes, half, half)
    keras.config.set_dtype_policy(previous)
    variables = model.trainable_variables
    train = config.train
    optimizer = keras.optimizers.AdamW(
      train.learning_rate, weight_decay=train.weight_decay, global_clipnorm=train.clip_norm
    )
    optimizer.build(variables)
    loss = keras.losses.CategoricalCrossentropy(
      from_logits=True, label_smoothing=train.label_smoothing
    )
    shape = (train.batch_size, config.image.height, config.image.width, 3)
    self._pixels = tf.constant(draw.uniform(0, 255, shape).astype(np.float32))
    self._labels = tf.one_hot(draw.integers(0, classes, train.batch_size), classes)

    @tf.function(jit_compile=False)
    def step(images, truth):
      with tf.GradientTape() as tape:
        value = loss(truth, model(images, training=True))
      optimizer.apply(tape.gradient(value, variables), variables)
      return value

    self._step = step

  def turn(self) -> None:
    """Takes the steps of one turn, under no promise to give the same bits each time."""
    from tensorflow.python.framework import config as tf_config

    promised = tf_config.is_op_determinism_enabled()
    tf_config.disable_op_determinism()
    began = time.monotonic()
    for _ in range(self._steps):
      float(self._step(self._pixels, self._labels))
    self.seconds.append(time.monotonic() - began)
    if promised:
      tf_config.enable_op_determinism()


def say(title: str, whole: list[float], steps: list[float], bare: list[float]) -> None:
  print(f'\n{title}\n{"":34}{"images/s":>9}{"turns":>18}{"of the bare step":>18}')
  rows = (('bare step, a batch in memory', bare), ("Trainer's loop, whole epoch", whole))
  for name, found in (*rows, ("Trainer's loop, its steps", steps)):
    # Turn by turn: what slowed the machine in a turn slowed both.
    ratio = statistics.median(mine / other for mine, other in zip(found, bare, strict=True))
    spread = f'{min(found):.1f} to {max(found):.1f}'
    print(f'  {name:32}{statistics.median(found):9.1f}{spread:>18}{ratio:18.3f}')
  print(f'  goal: at least {GOAL:g} of the bare step', flush=True)


if __name__ == '__main__':
  main()
