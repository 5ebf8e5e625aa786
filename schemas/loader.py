"""Reads a YAML file, with overrides, into a Config.

A path written in a YAML file is relative to that file. A path that is left out
lies below the working directory: data/<name> and runs/<name>.
"""

import difflib
import pathlib
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pydantic
import yaml

from schemas import storage
from schemas.config import Config
from schemas.errors import ConfigError

# Paths of the tree; each is made absolute.
_PATHS = (
  ('data', 'root'),
  ('data', 'schema'),
  ('data', 'lock'),
  ('publish', 'directory'),
  ('serve', 'request_log', 'directory'),
  ('run', 'root'),
  ('run', 'state'),
  ('beam', 'flink', 'job_server_jar'),
  ('beam', 'spark', 'job_server_jar'),
)
# How model.weights ends where it names a file without a folder.
_WEIGHTS_FILE = '.weights.h5'
# In a path, Beam's file systems read them as those of a shell's pattern.
_PATTERN = set('*?[')
_COMPILE = (
  'to run on gs://, compile for Kubeflow: sightline compile CONFIG --pipeline-root gs://...'
)


def load_config(
  path: pathlib.Path | str,
  overrides: Sequence[str] = (),
  working_directory: pathlib.Path | None = None,
) -> Config:
  """Reads one experiment.

  Args:
    path: the YAML file.
    overrides: `key.subkey=value`, the value in YAML; a path in one is relative
      to the working directory.
    working_directory: where default folders lie; by default the current one.

  Raises:
    ConfigError: the file cannot be read, or a key or value in it is wrong. The
      text names the file, the key, what was expected and what was received.
  """
  path = pathlib.Path(path)
  try:
    tree = yaml.safe_load(path.read_text(encoding='utf-8'))
  except (OSError, UnicodeDecodeError) as error:
    raise ConfigError(
      f'{path}: expected a readable YAML file. Received: {error}. '
      'Write one with: sightline init NAME --data-root DIR'
    ) from error
  except yaml.YAMLError as error:
    raise ConfigError(f'{path}: expected YAML. Received: {error}') from error
  if not isinstance(tree, dict):
    raise ConfigError(
      f'{path}: expected keys and values at the top. Received: {type(tree).__name__}.'
    )
  _absolute_paths(tree, path.resolve().parent)
  return build_config(tree, str(path), overrides, working_directory)


def build_config(
  tree: dict,
  source: str,
  overrides: Sequence[str] = (),
  working_directory: pathlib.Path | None = None,
) -> Config:
  """Builds a Config from plain values; `source` stands at the head of each error."""
  here = (working_directory or pathlib.Path.cwd()).resolve()
  for override in overrides:
    _apply_override(tree, override)
  name = tree.get('name')
  defaults: dict = {}
  if isinstance(name, str):
    defaults = {('data', 'root'): f'data/{name}', ('run', 'root'): f'runs/{name}'}
  for (section, key), default in defaults.items():
    branch = tree.setdefault(section, {})
    if isinstance(branch, dict) and branch.get(key) is None:
      branch[key] = default
  _absolute_paths(tree, here)
  try:
    config = Config.model_validate(tree)
  except pydantic.ValidationError as error:
    raise ConfigError('\n'.join(_explain(source, problem) for problem in error.errors())) from error
  _check_jar(config)
  return _with_defaults(config)


def with_values(config: Config, values: Mapping[str, Any], source: str) -> Config:
  """Returns a config with other values at some keys, such as train.batch_size.

  Args:
    config: stays as it is.
    values: by dotted key.
    source: stands at the head of each error.

  Raises:
    ConfigError: a key is unknown, or a value cannot be used.
  """
  tree = config.model_dump(mode='json', by_alias=True)
  for key, value in values.items():
    *branches, leaf = key.split('.')
    branch = tree
    for name in branches:
      branch = branch.setdefault(name, {}) if isinstance(branch, dict) else {}
    branch[leaf] = value
  try:
    return Config.model_validate(tree)
  except pydantic.ValidationError as error:
    raise ConfigError('\n'.join(_explain(source, problem) for problem in error.errors())) from error


def _check_jar(config: Config) -> None:
  """Not part of the tree's own rules: a recorded config stays readable without the file."""
  found = config.beam.jar()
  if found and (found[1].suffix != '.jar' or not found[1].is_file()):
    key, path = found
    raise ConfigError(
      f'{key}: expected a .jar file that is there. Received: {path}. It is never downloaded: take '
      f"Beam's {config.beam.engine} job server of the installed Beam version from Maven Central "
      '(group org.apache.beam) and name the file.'
    )


def _with_defaults(config: Config) -> Config:
  assert config.run.root is not None  # build_config set it
  directory = config.publish.directory or config.run.root / 'serving'
  requests = config.serve.request_log.directory or config.run.root / 'requests'
  request_log = config.serve.request_log.model_copy(update={'directory': requests})
  return config.model_copy(
    update={
      'publish': config.publish.model_copy(update={'directory': directory}),
      'serve': config.serve.model_copy(update={'request_log': request_log}),
    }
  )


def _apply_override(tree: dict, override: str) -> None:
  key, equals, text = override.partition('=')
  if not equals or not key:
    raise ConfigError(
      f'--set {override}: expected KEY=VALUE, such as train.batch_size=16. Received no equals sign.'
    )
  *branches, leaf = key.strip().split('.')
  for branch in branches:
    tree = tree.setdefault(branch, {})
    if not isinstance(tree, dict):
      raise ConfigError(f'--set {override}: {branch} is not a section of the config.')
  try:
    tree[leaf] = yaml.safe_load(text)
  except yaml.YAMLError as error:
    raise ConfigError(f'--set {override}: expected a YAML value. Received: {error}') from error


def _absolute_paths(tree: dict, base: pathlib.Path) -> None:
  _absolute_weights(tree, base)
  for *sections, key in _PATHS:
    branch: Any = tree
    for section in sections:
      branch = branch.get(section) if isinstance(branch, dict) else None
    if not isinstance(branch, dict) or not isinstance(branch.get(key), str | pathlib.Path):
      continue
    name = '.'.join((*sections, key))
    text = str(branch[key])
    storage.check(name, text, instead=_COMPILE if name == 'run.root' else '')
    branch[key] = _absolute(text, base)
    if name == 'run.root' and _PATTERN & set(branch[key]):
      raise ConfigError(
        f'run.root: expected a path without any of {" ".join(sorted(_PATTERN))}. '
        f'Received: {branch[key]}. Beam takes them for a pattern and does not find what it '
        'wrote. Name another folder: --set run.root=FOLDER'
      )


def _absolute_weights(tree: dict, base: pathlib.Path) -> None:
  """model.weights is a word, a run id or a path; only the last has a slash or that ending."""
  model = tree.get('model')
  if not isinstance(model, dict) or not isinstance(model.get('weights'), str):
    return
  text = model['weights']
  if ('/' in text or text.endswith(_WEIGHTS_FILE)) and '://' not in text:
    model['weights'] = _absolute(text, base)


def _absolute(text: str, base: pathlib.Path) -> str:
  return str((base / pathlib.Path(text).expanduser()).resolve())


def _explain(source: str, problem) -> str:
  location = [part for part in problem['loc'] if part != 'schema_path']
  key = '.'.join(str(part) for part in location)
  if problem['type'] == 'extra_forbidden':
    known = known_keys(location[:-1])
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    hint = f' Did you mean {near[0]}?' if near else ''
    return f'{source}: unknown key {key}. Known: {", ".join(known)}.{hint}'
  if problem['type'] == 'missing':
    return f'{source}: {key} is missing. Expected: a value for it.'
  if problem['type'] == 'value_error':
    return f'{source}: {key}: {problem["ctx"]["error"]}.'
  expected = problem['msg'].removeprefix('Input ')
  return f'{source}: {key} {expected}. Received: {_shown(problem["input"])}.'


def known_keys(location: Iterable) -> list[str]:
  """Returns the keys that a section of the tree accepts."""
  node: type[pydantic.BaseModel] = Config
  for part in location:
    if isinstance(part, int):
      continue
    annotation = next(
      (
        field.annotation
        for name, field in node.model_fields.items()
        if (field.alias or name) == part
      ),
      None,
    )
    node = _section(annotation) or node
  return [field.alias or name for name, field in node.model_fields.items()]


def _section(annotation) -> type[pydantic.BaseModel] | None:
  if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
    return annotation
  for inner in typing.get_args(annotation):
    found = _section(inner)
    if found:
      return found
  return None


def _shown(value: Any) -> str:
  """Returns what was received, without the password of an address."""
  return re.sub(r'://([^/@:\s]*):[^/\s]*@', r'://\1:...@', repr(value))
