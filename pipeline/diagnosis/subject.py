"""The run that is diagnosed: what was evaluated, what was published, what it was trained on."""

import dataclasses
import pathlib
from collections.abc import Iterable

from pipeline import lineage, metadata_store
from schemas.config import ServingValidatorConfig
from schemas.errors import RunError
from schemas.weights_hash import read_identity

_EXPORT = 'Format-Serving'
_SCHEMA = 'schema.pbtxt'
# Where runs lie by default, below the working directory.
_RUNS = 'runs'


@dataclasses.dataclass(frozen=True)
class Subject:
  """What the diagnosis reads of one run.

  Attributes:
    run_id: of the run.
    version: that it published; '' for none.
    model_name: under which it is served.
    export: the folder that was evaluated.
    published: the folder that is served; the export where nothing was published.
    predictions: the folder with predictions.parquet of `export` on test.
    test_records: patterns of the record files of test.
    manifest: manifest.parquet of the run's data.
    schema: schema.pbtxt of the run.
  """

  run_id: str
  version: str
  model_name: str
  export: pathlib.Path
  published: pathlib.Path
  predictions: pathlib.Path
  test_records: tuple[str, ...]
  manifest: pathlib.Path
  schema: pathlib.Path

  @property
  def labels(self) -> list[str]:
    """The labels of the export by id."""
    return read_identity(self.export)['labels']

  @property
  def train_records(self) -> tuple[str, ...]:
    """Patterns of the record files of train."""
    return tuple(
      str(path.parent.with_name('Split-train') / path.name)
      for path in map(pathlib.Path, self.test_records)
    )

  @property
  def limit(self) -> float:
    """The largest difference of a probability that ServingValidator let pass."""
    config = read_identity(self.export).get('config') or {}
    return ServingValidatorConfig.model_validate(
      config.get('serving_validator') or {}
    ).max_difference


def find(name: str, root: pathlib.Path | None = None) -> Subject:
  """Finds a run.

  Args:
    name: a version or the id of a run; or the folder of either.
    root: where the runs of the experiment are recorded; by default it is looked for from
      that folder upwards, or in `runs/*` of the working directory.

  Raises:
    RunError: there is no such run, or what it made is gone.
  """
  path = pathlib.Path(name)
  if path.is_dir():
    root = root or _root_above(path.resolve())
    name = path.resolve().name
  if root is not None:
    return _subject(lineage.Record(root), name)
  found = []
  failures = []
  for folder in sorted(filter(metadata_store.exists, pathlib.Path(_RUNS).glob('*'))):
    record = lineage.Record(folder)
    try:
      record.run_id(name)
    except RunError as error:
      failures.append(str(error))
    else:
      found.append(record)
  if len(found) == 1:
    return _subject(found[0], name)
  raise RunError(
    failures[0]
    if len(failures) == 1 and not found
    else f'{name}: expected a run or a version of one experiment below {_RUNS}/. Received: a name '
    f'that {len(found)} of {len(found) + len(failures)} know. Name the experiment: --config CONFIG'
  )


def _root_above(path: pathlib.Path) -> pathlib.Path:
  for folder in path.parents:
    if metadata_store.exists(folder):
      return folder
  raise RunError(
    f'{path}: expected a folder below a run root, which holds {lineage.DATABASE}. Received: one '
    'that is not. Name the experiment as well: --config CONFIG'
  )


def _subject(record: lineage.Record, name: str) -> Subject:
  run_id = record.run_id(name)
  outputs = {one.id: one for one in record.outputs(run_id)}
  made = [
    (step.component, outputs[key])
    for step in record.steps(run_id)
    for key in step.outputs
    if key in outputs
  ]

  def folder(kind: str, components: Iterable[str]) -> pathlib.Path:
    found = [one.uri for component, one in made if one.type == kind and component in components]
    if not found or not pathlib.Path(found[-1]).is_dir():
      raise RunError(
        f'run {run_id}: expected {kind} of {" or ".join(components)}. Received: '
        f'{found[-1] + ", which is gone" if found else "none"}. Diagnose a run that went on to its '
        'verdict and whose artifacts are still there.'
      )
    return pathlib.Path(found[-1])

  export = folder('Model', ['Trainer']) / _EXPORT
  pushed = [one for _, one in made if one.type == 'PushedModel']
  destination = pushed[-1].properties.get('pushed_destination') if pushed else None
  published = pathlib.Path(destination) if destination else export
  config = read_identity(export).get('config') or {}
  return Subject(
    run_id,
    record.version(run_id),
    published.parent.name if destination else str(config.get('name') or 'model'),
    export,
    published,
    folder('components.Predictions', ['Evaluator']),
    (str(folder('Examples', ['ImageExampleGen']) / 'Split-test' / '*'),),
    folder('components.Dataset', ['ImageExampleGen']) / 'manifest.parquet',
    folder('Schema', ['SchemaGen', 'ImportSchemaGen']) / _SCHEMA,
  )
