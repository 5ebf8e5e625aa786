"""How well an export could tell foreign images from those it knows, by five scores.

    .venv/bin/python benchmarks/foreign_images.py [--epochs 6] [--photos DIR] [--others DIR]
      [--work DIR]

A network is trained once on the bundled digits without two of the classes, by the settings of
pipeline/configs/digits.yaml with fewer epochs; with --photos another on a folder of photos
without a fifth of its classes. Foreign are noise, single colours, drawn letters and shapes, the
known images inverted, the images of the other data set (--others: of a third one), and those
of the classes left out. Known are images of test, a fifth of the images.

  softmax       1 - the largest probability
  energy        -logsumexp of the logits (Liu et al., 2020)
  Mahalanobis   the squared distance of the pooled features to the nearest class mean, under
                one covariance of all classes (Lee et al., 2018), shrunk (Chen et al., 2010)
  low rank      the same, the covariance by its 64 largest axes and one number for the rest:
                the export's own code
  relative      Mahalanobis less the distance under one Gaussian of all (Ren et al., 2021)

The table gives the AUROC with Newcombe's 95 % interval (2006, method 5), and in brackets the
share of the foreign images above the limit that decision.foreign_share of val may exceed.
Means and covariance are those of train. Features and logits stay in --work: a second call
computes only the table.
"""

import argparse
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import foreign_pictures
import numpy as np
import pandas as pd
import photo_folds
import scipy.optimize
import scipy.special
import training_records
from sklearn import covariance, datasets, model_selection

CONFIG = photo_folds.ROOT / 'pipeline/configs/digits.yaml'
LEFT_OUT_DIGITS = ('4', '8')
# Of each foreign kind.
COUNT = 300
PHOTO_SIDE = 64


class Images(NamedTuple):
  """Pixels uint8 [n, side, side, 3] and labels str [n]."""

  pixels: np.ndarray
  labels: np.ndarray

  def take(self, which: np.ndarray) -> 'Images':
    return Images(self.pixels[which], self.labels[which])


class Answers(NamedTuple):
  """Pooled features float64 [n, d] and logits float64 [n, K]."""

  features: np.ndarray
  logits: np.ndarray


Score = Callable[[Answers], np.ndarray]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--epochs', type=int, default=6, help='after those with a frozen backbone')
  parser.add_argument('--photos', type=pathlib.Path, help='a data folder: a second experiment')
  parser.add_argument('--others', type=pathlib.Path, help='a data folder of foreign photos')
  parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path('runs/bench-foreign'))
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras', 'scikit-learn', 'pillow')
  known = digits()
  photos = read_photos(args.photos) if args.photos else None
  others = read_photos(args.others) if args.others else None
  elsewhere = {'photos': sample(others or photos)} if others or photos else {}
  experiment(args, 'digits', known, LEFT_OUT_DIGITS, elsewhere)
  if photos:
    names = np.unique(photos.labels)
    elsewhere = {'digits': sample(known)}
    if others:
      elsewhere['other photos'] = sample(others)
    experiment(args, args.photos.name, photos, tuple(names[::5]), elsewhere)


def digits() -> Images:
  found = datasets.load_digits()
  pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
  return Images(np.repeat(pixels[..., None], 3, axis=3), found.target.astype(str))


def read_photos(root: pathlib.Path) -> Images:
  rows = pd.read_csv(root / 'labels.csv', dtype=str)
  pixels = photo_folds.decode(root, list(rows['filename']), PHOTO_SIDE)
  return Images(pixels, rows['label'].to_numpy(str))


def sample(images: Images) -> np.ndarray:
  draw = np.random.default_rng(0)
  return images.pixels[draw.permutation(len(images.labels))[:COUNT]]


def experiment(
  args: argparse.Namespace,
  name: str,
  images: Images,
  left_out: Sequence[str],
  elsewhere: Mapping[str, np.ndarray],
) -> None:
  """Trains on one data set and prints its table."""
  strange = np.isin(images.labels, left_out)
  parts = split(images.take(~strange))
  side, grey = images.pixels.shape[1], name == 'digits'
  draw = np.random.default_rng(0)
  foreign = {kind: make(draw, COUNT, side, grey) for kind, make in foreign_pictures.MAKERS.items()}
  foreign['inverted'] = 255 - parts['test'].pixels[:COUNT]
  foreign |= elsewhere
  foreign['left-out classes'] = sample(images.take(strange))
  folder = args.work / f'{name}-{args.epochs}'
  with photo_folds.quiet():
    labels, found = answered(folder, args.epochs, name, parts, foreign)
  ids = {label: index for index, label in enumerate(labels)}
  truth, tested = (
    np.array([ids[label] for label in parts[key].labels]) for key in ('train', 'test')
  )
  right = found['test'].logits.argmax(axis=1) == tested
  print(
    f'\n{name} without {", ".join(left_out)}: train {len(truth)}, val '
    f'{len(parts["val"].labels)}, test {photo_folds.share(right)}; '
    f'{found["test"].features.shape[1]} features'
  )
  print_table(candidates(found['train'], truth), found, list(foreign))


def split(images: Images) -> dict[str, Images]:
  rest, test = model_selection.train_test_split(
    np.arange(len(images.labels)), test_size=0.2, random_state=0, stratify=images.labels
  )
  train, val = model_selection.train_test_split(
    rest, test_size=0.15, random_state=0, stratify=images.labels[rest]
  )
  return {
    key: images.take(value) for key, value in (('train', train), ('val', val), ('test', test))
  }


def answered(
  folder: pathlib.Path,
  epochs: int,
  name: str,
  parts: Mapping[str, Images],
  foreign: Mapping[str, np.ndarray],
) -> tuple[list[str], dict[str, Answers]]:
  """Returns the labels by id, and what a trained network says of every part and kind."""
  sets = {**{key: part.pixels for key, part in parts.items()}, **foreign}
  kept = folder / 'answers.npz'
  if not kept.exists():
    model, image, labels = trained(folder, epochs, name, parts)
    arrays = {'labels': np.array(labels)}
    for number, pixels in enumerate(sets.values()):
      arrays[f'features{number}'], arrays[f'logits{number}'] = ask(model, image, pixels)
    np.savez(kept, **arrays)
  with np.load(kept) as stored:
    return list(stored['labels']), {
      key: Answers(
        stored[f'features{number}'].astype(np.float64), stored[f'logits{number}'].astype(np.float64)
      )
      for number, key in enumerate(sets)
    }


def trained(folder: pathlib.Path, epochs: int, name: str, parts: Mapping[str, Images]):
  """Trains through models.training; returns model, `image` of the config and labels by id."""
  from models.training import run
  from models.training.data import TrainingData
  from schemas.loader import load_config

  config = load_config(CONFIG, [])
  frozen, unfrozen = config.train.stages
  changes = {
    'train': config.train.model_copy(
      update={'stages': (frozen, unfrozen.model_copy(update={'epochs': epochs})), 'checks': False}
    )
  }
  if name != 'digits':
    changes['image'] = config.image.model_copy(update={'height': PHOTO_SIDE, 'width': PHOTO_SIDE})
    changes['augment'] = config.augment.model_copy(update={'horizontal_flip': True})
  config = config.model_copy(update=changes)
  shutil.rmtree(folder, ignore_errors=True)
  rows = {
    key: list(zip(encoded(parts[key].pixels), parts[key].labels, strict=True))
    for key in ('train', 'val')
  }
  files = {
    key: [str(training_records.write(folder / f'{key}.tfrecord', some))]
    for key, some in rows.items()
  }
  transform = training_records.transform(rows['train'], folder, config.image)
  data = TrainingData(**files, transform=transform)
  model = run.train(config, data, config.model.weights, folder / 'run').model
  return model, config.image, data.labels


def encoded(pixels: np.ndarray) -> list[bytes]:
  import tensorflow as tf

  return [tf.io.encode_png(one).numpy() for one in pixels]


def ask(model, image, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the pooled features and the logits, by the decoder of the export."""
  import tensorflow as tf

  from models import decoder
  from models.training import network_parts

  decoded = decoder.decode_batch(tf.constant(encoded(pixels)), image)
  features = network_parts.to_features(model).predict(decoded, verbose=0, batch_size=64)
  return features, network_parts.head(model).predict(features, verbose=0, batch_size=64)


def candidates(train: Answers, truth: np.ndarray) -> dict[str, Score]:
  from models import known_images
  from models.training import familiarity

  means = np.array([train.features[truth == k].mean(axis=0) for k in np.unique(truth)])
  within = train.features - means[truth]
  shared = covariance.OAS(assume_centered=True).fit(within)
  overall = covariance.OAS().fit(train.features)
  moments = familiarity.Moments(len(means), means.shape[1])
  moments.add(train.features, truth)
  distance_of = known_images.Distance(moments.known())

  def nearest(answers: Answers, metric: np.ndarray) -> np.ndarray:
    return np.min([distance(answers.features - mean, metric) for mean in means], axis=0)

  return {
    'softmax': lambda answers: 1 - scipy.special.softmax(answers.logits, axis=1).max(axis=1),
    'energy': lambda answers: -scipy.special.logsumexp(answers.logits, axis=1),
    'Mahalanobis': lambda answers: nearest(answers, shared.precision_),
    'low rank': lambda answers: distance_of(answers.features.astype(np.float32)).numpy(),
    'relative': lambda answers: (
      nearest(answers, shared.precision_)
      - distance(answers.features - overall.location_, overall.precision_)
    ),
  }


def distance(offsets: np.ndarray, metric: np.ndarray) -> np.ndarray:
  """Returns x' M x of each row x."""
  return ((offsets @ metric) * offsets).sum(axis=1)


def print_table(
  scores: Mapping[str, Score], found: Mapping[str, Answers], kinds: Sequence[str]
) -> None:
  from models.training import familiarity
  from schemas.config import DecisionConfig

  print(f'{"":18}' + ''.join(f'{name:>34}' for name in scores))
  values = {
    name: {key: score(answers) for key, answers in found.items()} for name, score in scores.items()
  }
  share = DecisionConfig().foreign_share
  limits = {name: familiarity.limit(of['val'], share) for name, of in values.items()}
  for kind in kinds:
    cells = []
    for name, of in values.items():
      area = auroc(of['test'], of[kind])
      low, high = newcombe(area, len(of['test']), len(of[kind]))
      caught = (of[kind] > limits[name]).mean()
      cells.append(f'{area:.3f} ({low:.3f} to {high:.3f}) [{caught:4.0%}]')
    print(f'{kind:18}' + ''.join(f'{cell:>34}' for cell in cells))
  means = [np.mean([auroc(of['test'], of[kind]) for kind in kinds]) for of in values.values()]
  print(f'{"mean":18}' + ''.join(f'{mean:34.3f}' for mean in means))
  alarms = [(of['test'] > limits[name]).mean() for name, of in values.items()]
  print(f'{"test above limit":18}' + ''.join(f'{share:34.1%}' for share in alarms))


def auroc(known: np.ndarray, foreign: np.ndarray) -> float:
  """Returns how often a foreign image has the higher score of a pair; equal ones count half."""
  order = np.sort(known)
  below, upto = (np.searchsorted(order, foreign, side) for side in ('left', 'right'))
  return float((below + upto).mean() / 2 / len(known))


def newcombe(area: float, known: int, foreign: int) -> tuple[float, float]:
  """Returns the 95 % interval of an AUROC (Newcombe, 2006, method 5)."""
  half = (known + foreign) / 2 - 1

  def off(true: float, sign: float) -> float:
    spread = 1 + half * ((1 - true) / (2 - true) + true / (1 + true))
    error = np.sqrt(true * (1 - true) * spread / (known * foreign))
    return area - true - sign * 1.959964 * error

  # At 0 and at 1 the error is 0: a root that is none.
  edge = 1e-9
  low = 0.0 if area <= edge else scipy.optimize.brentq(off, 0.0, area - edge, args=(1.0,))
  high = 1.0 if area >= 1 - edge else scipy.optimize.brentq(off, area + edge, 1.0, args=(-1.0,))
  return low, high


if __name__ == '__main__':
  main()
