"""The first experiment on a data folder: `sightline init`, and a run without a config.

What was seen (pipeline/survey.py) and what fits a CPU (pipeline/sizing.py) make
a config; each choice carries its reason into the file.
"""

import dataclasses
import importlib.resources
import os
import pathlib
import re
import shutil
import string
import tempfile
from collections.abc import Sequence
from typing import Any

from pipeline import experiment_schema, experiment_text, run_owner, sizing, survey
from schemas import features, loader
from schemas.config import Config, SplitConfig
from schemas.errors import ConfigError

RUNNERS = ('local_runner.py', 'kubeflow_runner.py')
SCHEMA = 'schema.pbtxt'
# The choices that a person should know of before the first run.
_SAID = (
  'data.root',
  'data.slice_columns',
  'data.lock',
  'image.height',
  'model.backbone',
  'evaluate.min_accuracy',
)
_LOCK = 'splits.lock.csv'
_MAX_NAME = 50


@dataclasses.dataclass(frozen=True)
class Draft:
  """A config that somebody should look at.

  Attributes:
    tree: what differs from the defaults, as a YAML file holds it.
    reasons: key such as image.height to why.
    header: what stands at the head of the file.
    minutes: expected on two cores.
    seen: what it was made from.
  """

  tree: dict[str, Any]
  reasons: dict[str, str]
  header: str
  minutes: float
  seen: survey.Survey


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What `write_experiment` wrote."""

  folder: pathlib.Path
  config_path: pathlib.Path
  files: tuple[pathlib.Path, ...]
  draft: Draft


def draft_config(data_root: pathlib.Path | str, overrides: Sequence[str] = ()) -> Config:
  """Returns the config of a run without one; it is marked as a draft.

  Runs lie in runs/<name of the data folder> below the working directory.

  Args:
    data_root: the data folder.
    overrides: `key.subkey=value`, as for a run with a config.

  Raises:
    ConfigError: an override is wrong, or the run root holds runs on another data
      folder.
    DataError: the folder is no data set.
  """
  root = pathlib.Path(data_root).expanduser().resolve()
  name = name_of(root)
  run_root = pathlib.Path.cwd() / 'runs' / name
  tree = draft(name, survey.survey(root), run_root).tree
  tree['run']['draft'] = True
  config = loader.build_config(tree, f'the draft for {root}', overrides)
  run_owner.check(config)
  return config


def write_experiment(
  name: str,
  data_root: pathlib.Path | str,
  directory: pathlib.Path | str | None = None,
) -> Experiment:
  """Writes a folder with a commented experiment, its schema and its two runner files.

  Args:
    name: of the experiment and of the folder.
    data_root: the data folder.
    directory: where the folder comes to lie; by default the working directory.

  Returns:
    The files, after the config was read back.

  Raises:
    ConfigError: the folder exists, cannot be written, or the name cannot be
      used.
    DataError: the data folder is no data set.
  """
  directory = pathlib.Path(directory or pathlib.Path.cwd()).expanduser().resolve()
  folder = directory / name
  # Before anything is read or written: a name is one word, never a path.
  loader.build_config({'name': name}, 'sightline init')
  if folder.exists():
    raise ConfigError(
      f'{folder}: expected a name that is still free. Received: an existing '
      f'{"folder" if folder.is_dir() else "file"}. Choose another name, or remove it.'
    )
  made = draft(name, survey.survey(data_root), directory / 'runs' / name)
  _relative_paths(made.tree, folder)
  made.tree['data']['schema'] = SCHEMA
  made.reasons['data.schema'] = (
    'made from the labels; a label that is not in it stops the run, '
    'and so can a column once its values are written there'
  )
  try:
    directory.mkdir(parents=True, exist_ok=True)
    # Renamed when complete, so that an interrupted call leaves no half a folder.
    work = pathlib.Path(tempfile.mkdtemp(prefix=f'.{name}-', dir=directory))
    try:
      _write_files(made, name, work)
      loader.load_config(work / f'{name}.yaml')
      work.chmod(0o755)
      os.rename(work, folder)
    finally:
      shutil.rmtree(work, ignore_errors=True)
  except OSError as error:
    raise ConfigError(
      f'{folder}: expected a folder that can be written. Received: '
      f'{error.strerror or error}. Choose another with --directory.'
    ) from error
  return Experiment(folder, folder / f'{name}.yaml', tuple(sorted(folder.iterdir())), made)


def describe(experiment: Experiment) -> list[str]:
  """Returns lines for a person: what was seen, chosen and written, and what comes next."""
  made = experiment.draft
  chosen = {key: made.reasons[key] for key in _SAID if key in made.reasons}
  lines = [f'looked at {made.seen.root}']
  lines += [f'  {key} = {_value(made.tree, key)}: {reason}' for key, reason in chosen.items()]
  lines += [
    'wrote',
    *(f'  {_shown(path)}' for path in experiment.files),
    'next',
    f'  sightline run {_shown(experiment.config_path)}',
  ]
  return lines


def draft(name: str, seen: survey.Survey, run_root: pathlib.Path) -> Draft:
  """Chooses the fields for what was seen; paths are absolute."""
  split = SplitConfig()
  train = seen.splits.get(features.TRAIN) or max(1, round(seen.images * split.train))
  size = sizing.choose(train, seen.shorter_side)
  bar = _min_accuracy(seen)
  tree: dict[str, Any] = {
    'name': name,
    'data': {'root': str(seen.root), 'slice_columns': list(seen.slice_columns)},
    'image': {'height': size.side, 'width': size.side},
    'model': {'backbone': size.backbone},
    'train': {'batch_size': size.batch_size, 'epochs': size.epochs},
    'evaluate': {'min_accuracy': bar},
    'run': {'root': str(run_root)},
  }
  reasons = {
    'data.root': f'{seen.images} images of {len(seen.classes)} classes, '
    f'{"listed in " + seen.manifest if seen.manifest else "one folder a class"}',
    'data.slice_columns': _columns_seen(seen),
    'data.split.train': _split_seen(seen),
    'image.height': f'the shorter side of the images is {seen.shorter_side} pixels '
    f'(median of {seen.sampled})',
    'model.backbone': f'with this size and {train} images to train on: about '
    f'{size.minutes:.0f} minutes on two cores',
    'augment.horizontal_flip': 'true where a mirrored image still is of its class',
    'evaluate.min_accuracy': 'half way between always naming the largest class '
    f'({100 * seen.largest_share:.0f} %) and no error; raise it to what the use needs',
  }
  if not seen.writable:
    tree['data']['lock'] = str(run_root / _LOCK)
    reasons['data.lock'] = 'here, because the data folder cannot be written'
  return Draft(tree, reasons, _header(name, seen, size), size.minutes, seen)


def name_of(root: pathlib.Path) -> str:
  """Returns a name for a folder that every engine accepts: lower case, digits, dashes."""
  name = re.sub(r'[^a-z0-9]+', '-', root.name.lower()).strip('-')[:_MAX_NAME].strip('-')
  return name if name[:1].isalpha() else f'images-{name}'.strip('-')


def runner_text(runner: str, name: str, config: str, folder: str) -> str:
  """Returns a runner file of TFX's template names.

  Args:
    runner: one of RUNNERS.
    name: of the experiment.
    config: path of its YAML, relative to the runner file.
    folder: of the runner file, as its own text calls it.
  """
  template = importlib.resources.files('pipeline') / 'templates' / f'{runner}.template'
  return string.Template(template.read_text(encoding='utf-8')).substitute(
    name=name,
    config=config,
    config_name=pathlib.PurePath(config).name,
    runner_path=f'{folder}/local_runner.py',
    kubeflow_path=f'{folder}/kubeflow_runner.py',
  )


def _write_files(made: Draft, name: str, folder: pathlib.Path) -> None:
  text = experiment_text.experiment_text(made.tree, made.header, made.reasons)
  (folder / f'{name}.yaml').write_text(text, encoding='utf-8')
  schema = experiment_schema.schema_text(made.seen.classes, made.seen.columns)
  (folder / SCHEMA).write_text(schema, encoding='utf-8')
  for runner in RUNNERS:
    (folder / runner).write_text(runner_text(runner, name, f'{name}.yaml', name), encoding='utf-8')


def _relative_paths(tree: dict[str, Any], folder: pathlib.Path) -> None:
  """Makes paths relative to the YAML, where the folder and they can be moved together."""
  for section, key in (('data', 'root'), ('data', 'lock'), ('run', 'root')):
    value = tree[section].get(key)
    if value is not None and pathlib.Path(value).is_relative_to(folder.parent):
      tree[section][key] = os.path.relpath(value, folder)


def _shown(path: pathlib.Path) -> str:
  here = pathlib.Path.cwd()
  return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _value(tree: dict[str, Any], key: str) -> str:
  section, _, leaf = key.partition('.')
  value = tree[section][leaf]
  return (', '.join(value) or 'none') if isinstance(value, list) else str(value)


def _min_accuracy(seen: survey.Survey) -> float:
  return round((1 + seen.largest_share) / 2, 2)


def _columns_seen(seen: survey.Survey) -> str:
  passed_over = [name for name in seen.columns if name not in seen.slice_columns]
  text = 'columns with 2 to 50 distinct values'
  return f'{text}; passed over: {", ".join(passed_over)}' if passed_over else text


def _split_seen(seen: survey.Survey) -> str:
  if not seen.splits:
    return 'each class is divided in these shares'
  given = ', '.join(f'{name} {rows}' for name, rows in seen.splits.items())
  return f'the column split is kept ({given}); these shares are for rows without one'


def _header(name: str, seen: survey.Survey, size: sizing.Sizing) -> str:
  classes = ', '.join(f'{label} {rows}' for label, rows in list(seen.classes.items())[:6])
  more = f' and {len(seen.classes) - 6} more' if len(seen.classes) > 6 else ''
  return (
    f'{name}: {seen.images} images of {len(seen.classes)} classes.\n'
    f'  {classes}{more}\n\n'
    f'  sightline run {name}/{name}.yaml\n\n'
    f'Expected: about {size.minutes:.0f} minutes on two cores. Comes out, in runs/{name}:\n'
    'summary.json with accuracy and verdict, and in serving/ the model, where it is blessed.\n'
    'A path in this file is relative to the file.\n'
  )
