"""The digits experiment on all 1,797 images, out of fold, beside a kernel SVM on the same folds.

    .venv/bin/python benchmarks/digits_folds.py [--folds 5] [--set train.epochs=20] [--work DIR]

Each fold is answered by a network that saw neither it nor, for its best epoch, any image
outside the other folds: a tenth of these is val. The settings are those of
pipeline/configs/digits.yaml; accuracy with Wilson's 95 % interval, difference by McNemar's
exact test. What was answered stays in --work: a second call goes on.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import photo_folds
import training_records
from sklearn import datasets, model_selection, svm

CONFIG = photo_folds.ROOT / 'pipeline/configs/digits.yaml'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--folds', type=int, default=5)
  parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
  parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path('runs/bench-digits'))
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras', 'scikit-learn')
  digits = datasets.load_digits()
  splitter = model_selection.StratifiedKFold(args.folds, shuffle=True, random_state=0)
  network = np.zeros(len(digits.target), bool)
  machine = np.zeros(len(digits.target), bool)
  for number, (rest, test) in enumerate(splitter.split(digits.data, digits.target)):
    began = time.monotonic()
    fitted = svm.SVC(gamma=0.001, C=10).fit(digits.data[rest], digits.target[rest])
    machine[test] = fitted.predict(digits.data[test]) == digits.target[test]
    seconds = time.monotonic() - began
    network[test], spent = answered(args, digits, number, rest, test)
    print(
      f'fold {number + 1}: network {network[test].mean():.2%} in {spent:.0f} s, '
      f'SVM {machine[test].mean():.2%} in {seconds:.2f} s',
      flush=True,
    )
  found = photo_folds.compare(network, machine)
  print(f'network {photo_folds.share(network)}')
  print(f'SVM     {photo_folds.share(machine)}')
  print(
    f'only the network right {found.only_first}, only the SVM {found.only_second}, p {found.p:.3f}'
  )


def answered(args: argparse.Namespace, digits, number: int, rest, test) -> tuple[list, float]:
  """Trains on the other folds, once; returns which images of `test` are right, and seconds."""
  from schemas.loader import load_config

  config = load_config(CONFIG, args.set)
  name = f'{abs(hash_of(config)):x}-{args.folds}-{number}.json'
  path = args.work / name
  if not path.exists():
    began = time.monotonic()
    with photo_folds.quiet():
      right = train(config, digits, rest, test, args.work / 'fold')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
      json.dumps({'right': right, 'seconds': time.monotonic() - began}), encoding='utf-8'
    )
  found = json.loads(path.read_text(encoding='utf-8'))
  return found['right'], found['seconds']


def hash_of(config) -> int:
  import hashlib

  parts = (config.image, config.augment, config.model, config.train)
  text = ''.join(part.model_dump_json() for part in parts) + photo_folds.code()
  return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def train(config, digits, rest, test, folder: pathlib.Path) -> list[bool]:
  import shutil

  import keras
  import tensorflow as tf

  from models import decoder
  from models.training import run
  from models.training.data import TrainingData

  def encoded(indices):
    for index in indices:
      pixels = np.round(digits.images[index] * (255 / 16)).astype(np.uint8)
      yield tf.io.encode_png(pixels[..., None]).numpy(), str(digits.target[index])

  keras.backend.clear_session()
  shutil.rmtree(folder, ignore_errors=True)
  train_part, val_part = model_selection.train_test_split(
    rest, test_size=0.1, random_state=0, stratify=digits.target[rest]
  )
  images = {'train': list(encoded(train_part)), 'val': list(encoded(val_part))}
  files = {
    split: [str(training_records.write(folder / f'{split}.tfrecord', rows))]
    for split, rows in images.items()
  }
  transform = training_records.transform(images['train'], folder, config.image)
  data = TrainingData(**files, transform=transform)
  model = run.train(config, data, config.model.weights, folder / 'run').model
  rows = list(encoded(test))
  pixels = decoder.decode_batch(tf.constant([image for image, _ in rows]), config.image)
  chosen = model.predict(pixels, verbose=0, batch_size=64).argmax(axis=1)
  return [data.labels[index] == label for index, (_, label) in zip(chosen, rows, strict=True)]


if __name__ == '__main__':
  main()
