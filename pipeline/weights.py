"""Finds the backbone weights that model.weights names."""

import hashlib
import json
import pathlib

from models import bundled_weights
from schemas.config import Config
from schemas.errors import WeightsError

_WORDS = ('auto', 'imagenet', 'bundled', 'none')


def resolve(config: Config) -> str:
  """Returns `auto`, `imagenet`, `bundled`, `none`, or the absolute path of a weights file.

  Anything else in model.weights is the absolute path of a .weights.h5 file or the id of an
  earlier run, below this experiment's root or that of one beside it.

  Raises:
    WeightsError: it is none of these, or the file does not exist.
  """
  wanted = config.model.weights
  if wanted in _WORDS:
    return wanted
  path = pathlib.Path(wanted)
  if path.is_absolute():  # The loader has made it so.
    if path.is_file():
      return str(path)
    raise WeightsError(
      f'model.weights: expected a .weights.h5 file. Received: {path}, which does not exist.'
    )
  root = config.run.root
  assert root is not None
  beside = sorted(root.parent.glob(f'*/{wanted}/summary.json'))
  summaries = [root / wanted / 'summary.json', *beside]
  for summary in summaries:
    if summary.is_file():
      return _of_run(summary)
  raise WeightsError(
    f'model.weights: expected one of {", ".join(_WORDS)}, a .weights.h5 file, or the id of a '
    f'run below {root.parent}. Received: {wanted}. List the runs with: sightline runs list'
  )


def sha256(config: Config, found: str) -> str:
  """Returns the sha256 of the file that `resolve` found; empty where none is on this machine.

  Of `auto` and `bundled` that of the package's own file, which `auto` may come to.
  """
  if found in ('auto', 'bundled'):
    of_package = bundled_weights.find(config.model.build_fn or config.model.backbone)
    return of_package.sha256 if of_package else ''
  if found in _WORDS:
    return ''
  return hashlib.sha256(pathlib.Path(found).read_bytes()).hexdigest()


def _of_run(summary: pathlib.Path) -> str:
  saved = json.loads(summary.read_text(encoding='utf-8')).get('backbone_weights')
  if not saved or not pathlib.Path(saved).is_file():
    raise WeightsError(
      f'{summary}: expected a run that trained a model. Received: one whose backbone weights '
      f'are {saved or "not recorded"}. Name another run or a .weights.h5 file.'
    )
  return saved
