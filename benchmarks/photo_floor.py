"""What a colour histogram knows about real photos: the bar that a network has to beat.

    .venv/bin/python benchmarks/photo_floor.py --data-root DIR [--against PREDICTIONS ...]

Two floors and the majority class, each on the split that Sightline makes (fitted to
train, judged on test; val is left alone) and out of five folds, where every photo is
judged once:
  colours   HSV histogram, 12x4x4 bins, and an SVM with an RBF kernel
  cheap     the audit's features (colours, an 8x8 grey picture, directions of edges)
Near-copies stand in one fold; then, in a second table, guessed series of photos, too
(see photo_folds.py). Intervals are 95 % of Wilson for single photos, and too narrow
where photos come in series. The recall is the mean over the classes, out of folds.
Power of the histogram, C and gamma are chosen by cross-validation within the photos
that are fitted to.

Writes what each answered to <output>/<kept together>/<floor>.csv: image_id, path, part (test, or
fold-0 and so on), label, predicted. --against reads such a file of another method, or
predictions.parquet of a run's Evaluator, and compares on the same photos by McNemar's
exact test.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import cv2
import numpy as np
import pandas as pd
import photo_folds
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

FOLDS = 5
# Of cross-validation within the photos that are fitted to.
INNER_FOLDS = 4
SEED = 0
# Square root: Hellinger's kernel; the other end is the plain histogram.
POWERS = (0.5, 1.0)
PENALTIES = (1.0, 4.0, 16.0)
# Times scikit-learn's 'scale', 1 / (features x variance).
GAMMAS = (0.25, 1.0, 4.0)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data-root', type=pathlib.Path, required=True)
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/photo-floor'))
  parser.add_argument(
    '--test', type=float, default=0.1, help='share that is test; a tenth is val, the rest train'
  )
  parser.add_argument('--against', type=pathlib.Path, nargs='*', default=[], metavar='FILE')
  args = parser.parse_args()
  photo_folds.say_machine('scikit-learn', 'opencv-python-headless', 'numpy')
  with photo_folds.quiet():
    series = photo_folds.write_series(args.data_root, args.output)
    shares = {'train': 0.9 - args.test, 'val': 0.1, 'test': args.test}
    splits = {
      'near-copies': photo_folds.examine(args.data_root, shares=shares),
      'series': photo_folds.examine(args.data_root, series, shares),
    }
    paths = list(splits['series']['path'])
    pixels = photo_folds.decode(args.data_root, paths, photo_folds.SIDE)
  values = {
    'majority': (np.zeros((len(paths), 1), np.float32), None),
    'colours': (photo_folds.histograms(pixels), POWERS),
    'cheap': (cheap(pixels), (1.0,)),
  }
  for kept, rows in splits.items():
    # Each split has an order of its own.
    rows = rows.set_index('path').loc[paths].reset_index()
    say_data(args.data_root, rows, kept)
    answers = {name: judge(name, rows, *of) for name, of in values.items()}
    for name, found in answers.items():
      photo_folds.write_predictions(args.output / kept / f'{name}.csv', found)
    for path in args.against:
      say_against(path, answers)
  print(
    f'\nwhat each answered: {args.output}/<near-copies or series>/<floor>.csv; '
    f'a run on the second split: data.labels: {series}, data.group_columns: [series]'
  )


def cheap(pixels: np.ndarray) -> np.ndarray:
  """Returns what the audit knows of thumbnails."""
  from components.audit import cheap_features

  side = (cheap_features.SIDE, cheap_features.SIDE)
  small = [cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in pixels]
  return cheap_features.features(np.array(small))


def judge(name: str, rows: pd.DataFrame, values: np.ndarray, powers: tuple | None) -> pd.DataFrame:
  """Fits and answers, on the split and out of folds; prints one line of each.

  Args:
    name: of the floor.
    rows: the photos.
    values: float32 [n, features].
    powers: to choose from; None for the majority class.

  Returns:
    A row an answer, with photo_folds.COLUMNS.
  """
  began = time.monotonic()
  split = rows['split'].to_numpy()
  fold = photo_folds.folds(rows, FOLDS, SEED)
  parts = [('test', split == 'train', split == 'test')]
  parts += [(f'fold-{number}', fold != number, fold == number) for number in range(FOLDS)]
  labels = rows['label'].to_numpy()
  answers = []
  for part, fitted, judged in parts:
    model = choose(rows[fitted], values[fitted], powers)
    answers.append(rows[judged].assign(part=part, predicted=model.predict(values[judged])))
    wrong = set(rows['cluster'][fitted]) & set(rows['cluster'][judged]) - {''}
    if wrong:
      raise SystemExit(f'{part}: near-copies stand on both sides: {sorted(wrong)}')
  found = pd.concat(answers, ignore_index=True)
  right = (found['label'] == found['predicted']).to_numpy()
  test = (found['part'] == 'test').to_numpy()
  recalls = [right[~test & (found['label'] == label)].mean() for label in np.unique(labels)]
  print(
    f'  {name:10}{photo_folds.share(right[test]):38}{photo_folds.share(right[~test]):38}'
    f'{np.mean(recalls):10.1%}{time.monotonic() - began:7.0f}',
    flush=True,
  )
  return found


def choose(rows: pd.DataFrame, values: np.ndarray, powers: tuple | None):
  """Fits a classifier; what it leaves open is chosen by cross-validation in these rows."""
  labels = rows['label'].to_numpy()
  if powers is None:
    return DummyClassifier(strategy='most_frequent').fit(values, labels)
  inner = photo_folds.folds(rows, INNER_FOLDS, SEED + 1)
  places = [
    (np.flatnonzero(inner != number), np.flatnonzero(inner == number))
    for number in range(INNER_FOLDS)
  ]
  grids = []
  for power in powers:
    # `scale` as scikit-learn defines it, of the features after the power.
    scale = 1 / (values.shape[1] * np.var(values**power))
    grids.append(
      {
        'power__kw_args': [{'exponent': power}],
        'svm__C': PENALTIES,
        'svm__gamma': [factor * scale for factor in GAMMAS],
      }
    )
  model = Pipeline([('power', FunctionTransformer(raised)), ('svm', SVC())])
  return GridSearchCV(model, grids, cv=places, n_jobs=1).fit(values, labels)


def raised(values: np.ndarray, exponent: float = 1.0) -> np.ndarray:
  return values**exponent


def say_data(root: pathlib.Path, rows: pd.DataFrame, kept: str) -> None:
  clusters = rows.loc[rows['cluster'] != '', 'cluster']
  counts = rows['split'].value_counts()
  together = {
    'near-copies': 'near-copies kept together; series are divided, which flatters',
    'series': 'guessed series kept together, too',
  }
  print(
    f'\n{root.name}, {together[kept]}\n{len(rows)} photos, {rows["label"].nunique()} classes; '
    f'{", ".join(f"{name} {counts[name]}" for name in ("train", "val", "test"))}; {len(clusters)} '
    f'of them in {clusters.nunique()} clusters, the largest of {clusters.value_counts().max()}\n'
    f'  {"":10}{"right on test":38}{"right out of folds":38}{"recall":>10}{"s":>7}'
  )


def say_against(path: pathlib.Path, answers: dict[str, pd.DataFrame]) -> None:
  """Compares another method with each floor, on the photos that both answered."""
  other = photo_folds.read_answers(path)
  print(f'\n{path}')
  for name, found in answers.items():
    floor = found.assign(right=found['label'] == found['predicted'])
    both = floor.merge(other, on=['image_id', 'part'], suffixes=('_floor', '_other'))
    for group, part in both.groupby(both['part'] == 'test'):
      first, second = part['right_other'].to_numpy(bool), part['right_floor'].to_numpy(bool)
      difference = photo_folds.compare(first, second)
      print(
        f'  {"test" if group else "out of folds":12} {photo_folds.share(first)} against {name:9}'
        f'{photo_folds.share(second)}: only this {difference.only_first}, only the floor '
        f'{difference.only_second}, p {difference.p:.2g}'
      )


if __name__ == '__main__':
  main()
