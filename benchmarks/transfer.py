"""Does a backbone of one's own from other photos help? Four ways to train, from few labels to all.

    .venv/bin/python benchmarks/transfer.py --pretrain-root DIR --data-root DIR \
      [--size 64] [--labels 10 20 0] [--seeds 3] [--estimate] [--write-weights]

Pretrains a backbone on the photos of one folder and trains on those of another, by
Sightline's own training (models.training.run.train):
  scratch    random weights, everything learns
  frozen     pretrained weights, only the head learns
  unfrozen   pretrained weights, everything learns from the first step on
  staged     pretrained weights, first the head, then everything
Every arm sees the same number of images, has the same val photos to choose its best
epoch by, and is judged on the same test photos. --labels counts the images a class
that train keeps, 0 means all; each seed draws others, the same for all arms. Few images
are repeated until an epoch is as long as one over all of train: what is chosen from
is then the same, too.

Series of photos, guessed as photo_folds.py says, stand in one split. Intervals are
95 % of a bootstrap that draws series of test photos and, within, seeds; p is of a paired
permutation test, which flips the sign of each series' difference. p is given as it is
and after Holm's correction for all rows of the table.

Before anything is trained, steps are timed and the whole is estimated; --estimate stops
there. --recipe long pretrains on the finest classes that the data name, with MixUp, CutMix
and harder crops: for --size 96 --pretrain-epochs 100. What was trained stays in --work: a
second call goes on. --write-weights puts the backbone and its card into models/weights/,
where `model.weights: bundled` finds it.
"""

import argparse
import csv
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import pandas as pd
import photo_folds
import training_records

WEIGHTS_FOLDER = photo_folds.ROOT / 'models/weights'
# Beside the pretrained weights that they are of.
RESULTS = 'results.json'
ARMS = ('scratch', 'frozen', 'unfrozen', 'staged')
# Of the second data set. Its test is large: the question is which arm is better.
SHARES = {'train': 0.65, 'val': 0.1, 'test': 0.25}
RATE = 2e-3
# Weights that know something are lost at the rate of random ones.
UNFROZEN_RATE = RATE / 3
FROZEN_SHARE = 0.3
# Of --recipe long, which shows each photo a hundred times: what keeps it from learning them by
# heart. See "Photos and the SVM" in docs/training.md.
PRETRAIN = {
  'shift': 0.0,
  'rotation': 0.3,
  'zoom': 0.0,
  'horizontal_flip': True,
  'brightness': 0.1,
  'contrast': 0.2,
  'saturation': 0.2,
  'crop_area': 0.25,
  'mixup': 0.3,
  'cutmix': 1.0,
  'mix_probability': 0.7,
}
# Finer classes teach more: this column of the first data set, where it has it.
FINEST = 'fine_label'
# Photos of goods: a mirrored tomato is a tomato, and shops are lit differently.
AUGMENT = {'horizontal_flip': True, 'brightness': 0.1, 'contrast': 0.2, 'zoom': 0.2}
DRAWS = 5000
SIGNIFICANT = 0.05
# Seconds beside the steps, for the estimate, as measured on two cores: building and tracing
# a stage; beginning an epoch.
START = 15.0
EPOCH = 1.3


@dataclasses.dataclass(frozen=True)
class Photos:
  """One data set as records.

  Attributes:
    images: (image id, encoded image, label), by split.
    clusters: the series of each image by its id; its own id where it is alone.
  """

  images: dict[str, list[tuple[str, bytes, str]]]
  clusters: dict[str, str]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--pretrain-root', type=pathlib.Path, required=True)
  parser.add_argument('--data-root', type=pathlib.Path, required=True)
  parser.add_argument('--backbone', default='efficientnet_small')
  parser.add_argument('--size', type=int, default=64, help='pixels')
  parser.add_argument('--batch', type=int, default=32)
  parser.add_argument('--pretrain-epochs', type=int, default=40)
  parser.add_argument('--recipe', choices=('short', 'long'), default='short')
  parser.add_argument('--images', type=int, default=8000, help='that each training is shown')
  parser.add_argument('--labels', type=int, nargs='+', default=[10, 20, 0], help='a class; 0: all')
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--arms', nargs='+', default=list(ARMS), choices=ARMS)
  parser.add_argument('--estimate', action='store_true', help='say how long it takes, and stop')
  parser.add_argument('--pretrain-only', action='store_true')
  parser.add_argument('--write-weights', action='store_true')
  parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path('runs/bench-transfer'))
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras')
  with photo_folds.quiet():
    if args.recipe == 'long':
      source = prepare(args.pretrain_root, args.work / 'source-fine', {}, FINEST)
    else:
      source = prepare(args.pretrain_root, args.work / 'source', {})
    target = prepare(args.data_root, args.work / 'target', SHARES)
  for name, photos in ((args.pretrain_root.name, source), (args.data_root.name, target)):
    counts = ', '.join(f'{split} {len(found)}' for split, found in photos.images.items())
    print(f'{name}: {counts}; {len(set(photos.clusters.values()))} series or single photos')
  estimate(args, source, target)
  if args.estimate:
    return
  weights = pretrain(args, source)
  if not args.pretrain_only:
    say_table(args, target, compare_arms(args, target, weights), weights.parent / RESULTS)
  if args.write_weights:
    write_weights(args, source, weights)


def prepare(
  root: pathlib.Path, folder: pathlib.Path, shares: dict[str, float], column: str = 'label'
) -> Photos:
  """Reads a data set into records, with guessed series; what is there already stays.

  Args:
    root: the data folder.
    folder: to write to.
    shares: of the splits.
    column: of labels.csv that holds the class; `label` where there is no such column.
  """
  labels = folder / 'labels.csv'
  if not labels.exists():
    rows = pd.read_csv(photo_folds.write_series(root, folder), dtype=str)
    if column in rows:
      rows['label'] = rows[column]
    rows.to_csv(labels, index=False)
  rows = photo_folds.write_records(root, folder / 'examples', labels, shares)
  images = {
    split: training_records.read(
      sorted(str(path) for path in (folder / f'examples/Split-{split}').iterdir())
    )
    for split in ('train', 'val', 'test')
  }
  clusters = {row.image_id: row.cluster or row.image_id for row in rows.itertuples()}
  return Photos(images, clusters)


def plan(arm: str, epochs: int) -> list[dict]:
  """Returns the stages of an arm; together they take `epochs`."""
  head = {'name': 'frozen', 'learning_rate': RATE, 'trainable': 'head', 'batch_norm': 'inference'}
  whole = {'name': 'all', 'trainable': 'all', 'batch_norm': 'train'}
  first = max(1, round(FROZEN_SHARE * epochs))
  return {
    'scratch': [{**whole, 'learning_rate': RATE, 'epochs': epochs}],
    'frozen': [{**head, 'epochs': epochs}],
    'unfrozen': [{**whole, 'learning_rate': UNFROZEN_RATE, 'epochs': epochs}],
    'staged': [
      {**head, 'epochs': first},
      # As models.training.stages.plan has it for weights of the package.
      {**whole, 'learning_rate': UNFROZEN_RATE, 'epochs': max(1, epochs - first)},
    ],
  }[arm]


def settings(args: argparse.Namespace, stages: list[dict], seed: int):
  """Returns the Config of one training."""
  from schemas.config import Config

  return Config.model_validate(
    {
      'name': 'transfer',
      'image': {'height': args.size, 'width': args.size},
      'augment': AUGMENT,
      'model': {'backbone': args.backbone},
      'train': {
        'batch_size': args.batch,
        'stages': stages,
        'seed': seed,
        'precision': 'float32',
        'checks': False,
        # Every arm is to see as many images as the others.
        'early_stopping_patience': 10_000,
        # Runs of seconds: a second call does those anew that a kill interrupted.
        'checkpoint_seconds': 1e6,
      },
    }
  )


def pretrain_settings(args: argparse.Namespace):
  """Returns the Config of the pretraining."""
  config = settings(args, plan('scratch', args.pretrain_epochs), 0)
  if args.recipe == 'short':
    return config
  changed = config.model_dump() | {'augment': PRETRAIN}
  changed['model'] |= {'dropout': 0.3, 'drop_connect': 0.1}
  changed['train'] |= {'weight_decay': 0.05}
  return type(config).model_validate(changed)


def training_data(args: argparse.Namespace, photos: Photos, images, folder: pathlib.Path):
  """Returns a TrainingData of `images` and the val photos; all arms share what it writes."""
  from models.training.data import TrainingData

  pairs = {
    'train': [(image, label) for _, image, label in images],
    'val': [(image, label) for _, image, label in photos.images['val']],
  }
  files = {
    name: [str(training_records.write(folder / f'{name}.tfrecord', found))]
    for name, found in pairs.items()
  }
  image = settings(args, plan('scratch', 1), 0).image
  return TrainingData(**files, transform=training_records.transform(pairs['train'], folder, image))


def train(config, data, weights: str, folder: pathlib.Path):
  """Trains from the start, whatever an earlier call left; returns what run.train returns."""
  import keras

  from models.training import run

  keras.backend.clear_session()
  shutil.rmtree(folder, ignore_errors=True)
  return run.train(config, data, weights, folder)


def answer(model, labels: list[str], images, size: int) -> np.ndarray:
  """Returns bool [n]: whether the model has each image right."""
  import tensorflow as tf

  from models import decoder
  from schemas.config import ImageConfig

  image = ImageConfig(height=size, width=size)
  right = []
  for start in range(0, len(images), 64):
    part = images[start : start + 64]
    pixels = decoder.decode_batch(tf.constant([one for _, one, _ in part]), image)
    found = np.asarray(model(pixels, training=False)).argmax(axis=1)
    right += [labels[index] == label for index, (_, _, label) in zip(found, part, strict=True)]
  return np.array(right)


def pretrain(args: argparse.Namespace, source: Photos) -> pathlib.Path:
  """Trains the backbone on the first data set, once; returns its weights file."""
  from models import pretrained

  name = f'pretrained-{args.backbone}-{args.size}-{args.pretrain_epochs}'
  folder = args.work / (name + '-long' * (args.recipe == 'long'))
  weights, card = folder / pretrained.WEIGHTS_FILE, folder / 'held_out.json'
  if not card.exists():
    config = pretrain_settings(args)
    began = time.monotonic()
    with photo_folds.quiet():
      data = training_data(args, source, source.images['train'], args.work / f'data-{args.size}')
      trained = train(config, data, 'none', folder)
      right = answer(trained.model, data.labels, source.images['test'], args.size)
    found = {
      'correct': int(right.sum()),
      'images': len(right),
      'best_epoch': trained.record['best_epoch'],
      'seconds': round(time.monotonic() - began, 1),
      'date': datetime.date.today().isoformat(),
      'train_images': len(source.images['train']),
      'classes': len(data.labels),
    }
    card.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')
  found = json.loads(card.read_text(encoding='utf-8'))
  right = np.arange(found['images']) < found['correct']
  print(
    f'pretrained on {found["train_images"]} photos in {found["seconds"]:.0f} s; held-out photos '
    f'of the same classes: {photo_folds.share(right)}, best epoch {found["best_epoch"]}'
  )
  return weights


def subset(images, count: int, seed: int):
  """Returns `count` images a class, drawn by the seed; all of them for 0."""
  if not count:
    return images
  order = np.random.default_rng(seed).permutation(len(images))
  kept, taken = [], dict.fromkeys((label for _, _, label in images), 0)
  for index in order:
    label = images[index][2]
    if taken[label] < count:
      taken[label] += 1
      kept.append(images[index])
  return kept


def epochs_of(args: argparse.Namespace, target: Photos) -> int:
  """Returns in how many epochs over all of train the images are shown."""
  return max(2, round(args.images / len(target.images['train'])))


def compare_arms(args: argparse.Namespace, target: Photos, weights: pathlib.Path) -> dict:
  """Trains every arm; returns bool [seeds, test images] by (labels, arm)."""
  found: dict = {}
  for labels in args.labels:
    for seed in range(args.seeds):
      images = subset(target.images['train'], labels, seed)
      for arm in args.arms:
        one = train_arm(
          args, target, images, f'{labels}-{seed if labels else 0}', seed, arm, weights
        )
        right = np.array(one['right'], bool)
        found.setdefault((labels, arm), []).append(right)
        print(
          f'  {labels or "all"} labels a class ({len(images)} images), seed {seed}, {arm}: '
          f'{right.mean():.1%}, best epoch {one["best_epoch"]}, {one["seconds"]:.0f} s',
          flush=True,
        )
  return {key: np.array(rows) for key, rows in found.items()}


def train_arm(
  args: argparse.Namespace,
  target: Photos,
  images,
  part: str,
  seed: int,
  arm: str,
  weights: pathlib.Path,
) -> dict:
  """Trains one arm and has it answer; what an earlier call found is taken.

  Args:
    args: of the command line.
    target: the second data set.
    images: the part of its train that is trained on.
    part: a name of that part.
    seed: of the training.
    arm: which.
    weights: the pretrained ones.

  Returns:
    `right`, 0 or 1 for each test photo, `best_epoch` and `seconds`.
  """
  config = settings(args, plan(arm, epochs_of(args, target)), seed)
  start = 'none' if arm == 'scratch' else str(weights.resolve())
  digest = hashlib.sha256((config.model_dump_json() + photo_folds.code()).encode())
  if arm != 'scratch':
    digest.update(weights.read_bytes())
  path = args.work / f'answers/{part}-{seed}-{arm}-{digest.hexdigest()[:12]}.json'
  if not path.exists():
    began = time.monotonic()
    repeated = images * round(len(target.images['train']) / len(images))
    with photo_folds.quiet():
      data = training_data(args, target, repeated, args.work / f'data-{args.size}-{part}')
      trained = train(config, data, start, args.work / 'run')
      right = answer(trained.model, data.labels, target.images['test'], args.size)
    found = {
      'right': right.astype(int).tolist(),
      'best_epoch': trained.record['best_epoch'],
      'seconds': time.monotonic() - began,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found), encoding='utf-8')
  return json.loads(path.read_text(encoding='utf-8'))


def say_table(args: argparse.Namespace, target: Photos, found: dict, path: pathlib.Path) -> None:
  """Prints accuracy of each arm, and what it gains over training from scratch."""
  ids = [image_id for image_id, _, _ in target.images['test']]
  _, series = np.unique([target.clusters[one] for one in ids], return_inverse=True)
  print(
    f'\n{args.backbone} at {args.size} pixels, {args.images} images shown; {len(ids)} test photos '
    f'in {series.max() + 1} series, {args.seeds} seeds\n{"labels":>7} {"arm":10}{"right":>7}'
    f'{"seeds":>18}{"interval":>18}   {"against scratch":24}{"p":>8}{"Holm":>8}'
  )
  compared = [(labels, arm) for labels in args.labels for arm in args.arms if arm != 'scratch'] * (
    'scratch' in args.arms
  )
  p = {
    (labels, arm): permuted(found[labels, arm], found[labels, 'scratch'], series)
    for labels, arm in compared
  }
  holm = corrected(p)
  for labels in args.labels:
    for arm in args.arms:
      rows = found[labels, arm]
      each = rows.mean(axis=1)
      low, high = interval(rows.astype(float), series)
      line = (
        f'{labels or "all":>7} {arm:10}{rows.mean():7.1%}'
        f'{f"{each.min():.1%} to {each.max():.1%}":>18}{f"{low:.1%} to {high:.1%}":>18}   '
      )
      if (labels, arm) in p:
        gain = rows.astype(float) - found[labels, 'scratch']
        low, high = interval(gain, series)
        line += f'{f"{gain.mean():+.1%} ({low:+.1%} to {high:+.1%})":24}'
        line += f'{p[labels, arm]:8.4f}{holm[labels, arm]:8.4f}'
      print(line, flush=True)
  both = [labels for labels in args.labels if {'staged', 'unfrozen'} <= set(args.arms)]
  below = {}
  for labels in both:
    staged, unfrozen = found[labels, 'staged'], found[labels, 'unfrozen']
    gain = staged.astype(float) - unfrozen
    low, high = interval(gain, series)
    below[labels] = permuted(staged, unfrozen, series) if gain.mean() < 0 else 1.0
    print(
      f'{labels or "all":>7} staged against unfrozen {gain.mean():+.1%} '
      f'({low:+.1%} to {high:+.1%}), p {permuted(staged, unfrozen, series):.4f}'
    )
  results = {
    f'{labels}/{arm}': {
      'mean': float(rows.mean()),
      'p': p.get((labels, arm)),
      'holm': holm.get((labels, arm)),
      **({'p_below_unfrozen': below[labels]} if arm == 'staged' and labels in below else {}),
    }
    for (labels, arm), rows in found.items()
  }
  path.write_text(json.dumps(results, indent=2) + '\n', encoding='utf-8')


def sums(rows: np.ndarray, series: np.ndarray) -> np.ndarray:
  """Returns float [seeds, series], the sum over each series' photos."""
  return np.array([np.bincount(series, row) for row in rows])


def interval(rows: np.ndarray, series: np.ndarray) -> tuple[float, float]:
  """Returns the 95 % interval of the mean of float [seeds, photos]."""
  draw = np.random.default_rng(0)
  each, sizes = sums(rows, series), np.bincount(series)
  means = []
  for _ in range(DRAWS):
    chosen = draw.integers(0, len(sizes), len(sizes))
    seeds = draw.integers(0, len(rows), len(rows))
    means.append(each[seeds][:, chosen].sum() / (sizes[chosen].sum() * len(rows)))
  low, high = np.quantile(means, [0.025, 0.975])
  return float(low), float(high)


def permuted(first: np.ndarray, second: np.ndarray, series: np.ndarray) -> float:
  """Returns p, two-sided, of a mean difference over series whose signs are flipped by chance."""
  differences = sums(first.astype(float) - second, series).sum(axis=0)
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (DRAWS, len(differences)))
  extreme = np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9
  return float((extreme.sum() + 1) / (DRAWS + 1))


def corrected(p: dict) -> dict:
  """Returns p by Holm (1979): the i-th smallest of m times m - i + 1, never falling."""
  result, largest = {}, 0.0
  for index, key in enumerate(sorted(p, key=lambda key: p[key])):
    largest = max(largest, min(1.0, p[key] * (len(p) - index)))
    result[key] = largest
  return result


def estimate(args: argparse.Namespace, source: Photos, target: Photos) -> None:
  """Times some steps and says how long everything takes at their speed."""
  step = {trainable: time_step(args, trainable) for trainable in ('all', 'head')}

  def seconds(stages: list[dict], photos: Photos) -> float:
    steps, val = (-(-len(photos.images[split]) // args.batch) for split in ('train', 'val'))
    return sum(
      START + stage['epochs'] * (EPOCH + steps * step[stage['trainable']] + val * step['head'])
      for stage in stages
    )

  first = seconds(plan('scratch', args.pretrain_epochs), source)
  epochs = epochs_of(args, target)
  runs = 0 if args.pretrain_only else args.seeds * len(args.labels)
  total = runs * sum(seconds(plan(arm, epochs), target) for arm in args.arms)
  print(
    f'a step at {args.size} pixels: {step["all"] * 1e3:.0f} ms, frozen {step["head"] * 1e3:.0f} ms '
    f'(load {os.getloadavg()[0]:.1f}). Estimate: pretraining {first / 60:.1f} min, the arms '
    f'{total / 60:.1f} min',
    flush=True,
  )


def time_step(args: argparse.Namespace, trainable: str) -> float:
  """Returns the median seconds of a training step on a batch in memory."""
  import keras
  import tensorflow as tf

  from models import classifier
  from models.training import stages
  from schemas.config import ImageConfig, ModelConfig, StageConfig

  half: np.ndarray = np.full(3, 0.5, np.float32)
  image = ImageConfig(height=args.size, width=args.size)
  model = classifier.build(ModelConfig(backbone=args.backbone), image, 10, half, half)
  stages.apply(model, StageConfig(name='x', epochs=1, learning_rate=1e-3, trainable=trainable))
  variables = model.trainable_variables
  optimizer = keras.optimizers.AdamW(1e-3)
  optimizer.build(variables)
  loss = keras.losses.CategoricalCrossentropy(from_logits=True)
  pixels = tf.random.uniform([args.batch, args.size, args.size, 3], 0, 255)
  labels = tf.one_hot(tf.range(args.batch) % 10, 10)

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      value = loss(labels, model(pixels, training=True))
    optimizer.apply(tape.gradient(value, variables), variables)
    return value

  float(step())
  seconds = []
  for _ in range(10):
    began = time.perf_counter()
    float(step())
    seconds.append(time.perf_counter() - began)
  return statistics.median(seconds)


def write_weights(args: argparse.Namespace, source: Photos, weights: pathlib.Path) -> None:
  """Puts the pretrained backbone and its card into the package."""
  from components.evaluator import metrics

  held_out = json.loads((weights.parent / 'held_out.json').read_text(encoding='utf-8'))
  results = weights.parent / RESULTS
  compared = json.loads(results.read_text(encoding='utf-8')) if results.exists() else {}
  WEIGHTS_FOLDER.mkdir(exist_ok=True)
  path = WEIGHTS_FOLDER / f'{args.backbone}.weights.h5'
  compact(weights, path)
  root = args.pretrain_root
  with open(root / 'labels.csv', encoding='utf-8', newline='') as stream:
    photos = sum(1 for _ in csv.DictReader(stream))
  low, high = metrics.interval(held_out['correct'], held_out['images'])
  card = {
    'backbone': args.backbone,
    'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
    'licence': 'MIT',
    'licence_text': (root / 'LICENSE').read_text(encoding='utf-8').strip(),
    'trained_on': f'{held_out["train_images"]} of {photos} smartphone photos of fruit in '
    f'{held_out["classes"]} classes, of the Grocery Store Dataset by Marcus Klasson and '
    'others (MIT)',
    'images': {split: len(found) for split, found in source.images.items()},
    'held_out': {
      'what': 'test photos of the same classes; near-copies and such series as could be guessed '
      'stand in one split, further series may be divided, which flatters',
      'accuracy': held_out['correct'] / held_out['images'],
      'n': held_out['images'],
      'interval': [low, high],
    },
    'height': args.size,
    'width': args.size,
    'epochs': args.pretrain_epochs,
    'best_epoch': held_out['best_epoch'],
    'augment': PRETRAIN if args.recipe == 'long' else AUGMENT,
    'date': held_out['date'],
    'script': 'benchmarks/transfer.py',
    'frozen_stage': frozen_helps(compared),
    'transfer': compared,
  }
  text = json.dumps(card, indent=2, ensure_ascii=False) + '\n'
  (WEIGHTS_FOLDER / f'{args.backbone}.json').write_text(text, encoding='utf-8')
  print(f'{path}: {path.stat().st_size / 1e6:.2f} MB; frozen_stage: {card["frozen_stage"]}')


def compact(source: pathlib.Path, path: pathlib.Path) -> None:
  """Copies a weights file in HDF5's newer layout: the same values, a tenth smaller."""
  import h5py

  with h5py.File(source) as old, h5py.File(path, 'w', libver=('v110', 'v110')) as new:

    def take(name: str, item) -> None:
      group = isinstance(item, h5py.Group)
      made = new.require_group(name) if group else new.create_dataset(name, data=item[()])
      made.attrs.update(item.attrs)

    new.attrs.update(old.attrs)
    old.visititems(take)


def frozen_helps(compared: dict) -> bool:
  """Whether a frozen stage comes first.

  It has to be better than scratch beyond chance where labels are few, and nowhere below
  training everything at once beyond chance.
  """
  few = [name.split('/')[0] for name in compared if name.endswith('/staged')]
  few = [count for count in few if 0 < int(count) <= 20]
  pairs = [(compared[f'{count}/staged'], compared.get(f'{count}/scratch')) for count in few]
  return (
    bool(pairs)
    and all(
      scratch and staged['mean'] > scratch['mean'] and staged['holm'] < SIGNIFICANT
      for staged, scratch in pairs
    )
    and all(
      one.get('p_below_unfrozen', 0.0) >= SIGNIFICANT
      for name, one in compared.items()
      if name.endswith('/staged')
    )
  )


if __name__ == '__main__':
  main()
