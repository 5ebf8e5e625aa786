"""From the rows of an index to a cluster and a split of each, or to the reason why not."""

import dataclasses
import pathlib

from components.image_example_gen import (
  allocation,
  checks,
  clustering,
  dataset_summary,
  decisions,
  exact_copies,
  leaks,
  lock,
  quarantine,
  split,
  time_split,
)
from components.image_example_gen.descriptions import Descriptions
from components.image_example_gen.index import Index
from components.image_example_gen.manifest import Manifest
from schemas.config import DataConfig
from schemas.errors import DataError


@dataclasses.dataclass(frozen=True)
class Run:
  """One look at the data.

  Attributes:
    data: what is asked of them.
    manifest: the list of images.
    index: of its rows.
    descriptions: of its images.
    work: a folder that ends with this look.
    state: a folder that outlives it.
    gates: let complaints pass, or stop at the first.
  """

  data: DataConfig
  manifest: Manifest
  index: Index
  descriptions: Descriptions
  work: pathlib.Path
  state: pathlib.Path
  gates: checks.Gates

  @property
  def lock_path(self) -> pathlib.Path:
    return lock.lock_path(self.data, self.manifest)


def decide(run: Run) -> dict:
  """Sets copies aside, finds clusters and leaks, and splits.

  Precedence: given split, lock, cluster, and then time or stratification.

  Returns:
    What dataset.json holds.

  Raises:
    DataError: the run must not go on, and the gates are strict; or the split lock
      cannot be read.
  """
  index, data, gates = run.index, run.data, run.gates
  index.fix(lock.read(run.lock_path))
  clustering.join(index, run.descriptions, data.near_copies)
  exact_copies.set_aside(index.connection)
  with gates.gate():
    checks.check_bad_rows(index, run.manifest, data, run.state)
  clustering.name(index)
  straddling = leaks.find(index)
  if data.on_leak == leaks.DROP:
    leaks.take_out(index, straddling)
  with gates.gate():
    if straddling and data.on_leak == leaks.STOP:
      raise DataError(leaks.complaint(index, straddling, run.manifest.name, str(run.lock_path)))
  leaks.set_free_beside_production(index)
  tallies, warnings = _assign(run)
  # Some clusters may have lost members since.
  clustering.name(index)
  marked = leaks.mark(index)
  _check_splits(run, list(tallies))
  taken = index.reasons().get(quarantine.LEAK, 0)
  found = dataset_summary.Leaks(data.on_leak, len(straddling), marked, taken)
  warnings += _unknown_decisions(run)
  return dataset_summary.summarise(index, run.manifest, data, tallies, found, warnings)


def _assign(run: Run) -> tuple[dict[str, split.Tally], list[str]]:
  if run.data.split.time_column is None:
    return allocation.assign(run.index, run.data.split), []
  with run.gates.gate():
    time_split.check_fixed(run.index)
  return time_split.assign(run.index, run.data.split)


def _unknown_decisions(run: Run) -> list[str]:
  path = run.manifest.decisions
  names = decisions.unknown(path, run.index.all_filenames()) if path else []
  if path is None or not names:
    return []
  return [
    f'{len(names)} {"file" if len(names) == 1 else "files"} in {path.name} '
    f'{"is" if len(names) == 1 else "are"} in no row of {run.manifest.name}: '
    f'{dataset_summary.listed(names)}. Where it is not of another span, write the filename as it '
    'stands there, or remove the line.'
  ]


def _check_splits(run: Run, labels: list[str]) -> None:
  with run.gates.gate():
    checks.check_two_classes(labels, run.manifest)
  counts = run.index.counts(run.manifest.splits)
  sizes = {name: sum(classes.values()) for name, classes in counts.items()}
  with run.gates.gate():
    split.check_splits(sizes, run.data.split, dataset_summary.clusters(run.index)['largest'])
  with run.gates.gate():
    checks.check_classes(split.without_train(counts), run.index, run.manifest, run.lock_path)
