"""What changed between two runs: config, data, code, packages, machine, figures, time.

A run that stopped early lacks some of these: then what it has is compared, and a
remark says what is missing.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline import lineage, manifest_difference, provenance, serving_difference
from pipeline.recorded_run import RecordedRun, fingerprint

# Below these, a difference says nothing.
_SECONDS = 1.0
_NOISE = {'seconds': _SECONDS, 'cpu_seconds': _SECONDS, 'energy_wh': 0.01}
_SLICES = 5

# What is said of a data set as a whole, in dataset.json.
_OF_DATA = (
  'dataset_sha256',
  'manifest_sha256',
  'span',
  'rows',
  'images',
  'quarantined',
  'decisions',
)
# None where the data sets are the same, or a manifest is gone.
Rows = manifest_difference.Difference | None
_STATES = {'COMPLETE': 'done', 'CACHED': 'cached', 'FAILED': 'failed'}


@dataclasses.dataclass(frozen=True)
class Change:
  """One thing that is not the same.

  Attributes:
    what: its name, such as train.epochs.
    a: of the first run, as a JSON value; None where it has none.
    b: of the second run.
    difference: b - a, where both are figures.
  """

  what: str
  a: Any
  b: Any
  difference: float | None = None


@dataclasses.dataclass(frozen=True)
class Section:
  """What changed in one respect.

  Attributes:
    name: of the respect.
    changes: those found.
    remarks: sentences: what could not be compared, and what a reader has to know.
    rows: images by what became of them; see manifest_difference.Rows.
    compared: whether both runs recorded enough to tell that nothing changed.
  """

  name: str
  changes: tuple[Change, ...] = ()
  remarks: tuple[str, ...] = ()
  rows: Mapping[str, manifest_difference.Rows] = dataclasses.field(default_factory=dict)
  compared: bool = True

  @property
  def changed(self) -> bool:
    return bool(self.changes) or any(rows.count for rows in self.rows.values())


@dataclasses.dataclass(frozen=True)
class Difference:
  """What changed from run `a` to run `b`, one section a respect."""

  a: RecordedRun
  b: RecordedRun
  sections: tuple[Section, ...]

  def as_json(self) -> dict[str, Any]:
    """Returns all of it as plain values; hashes are whole."""
    return {
      'a': self.a.head(),
      'b': self.b.head(),
      'sections': {
        section.name: {
          'compared': section.compared,
          'changed': section.changed,
          'changes': [dataclasses.asdict(change) for change in section.changes],
          'remarks': list(section.remarks),
          'rows': {kind: dataclasses.asdict(rows) for kind, rows in section.rows.items()},
        }
        for section in self.sections
      },
    }


def compare(a: RecordedRun, b: RecordedRun) -> Difference:
  """Compares two runs in every respect."""
  rows = manifest_difference.compare(a.manifest, b.manifest) if _differ(a, b) else None
  sections = (
    _config(a, b),
    _data(a, b, rows),
    _code(a, b),
    _packages(a, b),
    _machine(a, b),
    _figures(a, b, rows),
    _serving(a, b),
    _time(a, b),
  )
  return Difference(a, b, sections)


def _differ(a: RecordedRun, b: RecordedRun) -> bool:
  hashes = [side.dataset.get('dataset_sha256') for side in (a, b)]
  return None in hashes or hashes[0] != hashes[1]


def _config(a: RecordedRun, b: RecordedRun) -> Section:
  missing = [side.run_id for side in (a, b) if not side.config]
  if missing:
    return Section('config', remarks=(_not_recorded('config', missing),), compared=False)
  old, new = a.config, b.config
  remarks = []
  if not (a.recorded and b.recorded):
    # Parts that only one of them recorded are not known to differ.
    both = [name for name in old if name in new]
    old, new = ({name: tree[name] for name in both} for tree in (old, new))
    partial = [side.run_id for side in (a, b) if not side.recorded]
    remarks = [f'of {" and ".join(dict.fromkeys(partial))} only {", ".join(both)} is recorded']
  return Section('config', tuple(_changes(dict(_flat(old)), dict(_flat(new)))), tuple(remarks))


def _data(a: RecordedRun, b: RecordedRun, rows: Rows) -> Section:
  missing = [side.run_id for side in (a, b) if not side.dataset]
  if missing:
    return Section('data', remarks=(_not_recorded('data', missing),), compared=False)
  old, new = (dict(_flat({name: side.dataset.get(name) for name in _OF_DATA})) for side in (a, b))
  changes = [*_changes(old, new), *_counts(a.dataset, b.dataset)]
  if rows is None:
    remark = [] if not _differ(a, b) else ['the rows were not compared: a manifest is gone']
    return Section('data', tuple(changes), tuple(remark))
  return Section('data', tuple(changes), (), rows.rows)


def _counts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
  """Returns the images of each split and class whose number changed."""
  flat = [
    {
      f'{split} / {label}': count
      for split, labels in (dataset.get('counts') or {}).items()
      for label, count in labels.items()
    }
    for dataset in (old, new)
  ]
  return [
    Change(name, flat[0].get(name, 0), flat[1].get(name, 0), _minus(flat[0], flat[1], name))
    for name in {**flat[0], **flat[1]}
    if flat[0].get(name, 0) != flat[1].get(name, 0)
  ]


def _minus(old: Mapping[str, int], new: Mapping[str, int], name: str) -> int:
  return new.get(name, 0) - old.get(name, 0)


def _code(a: RecordedRun, b: RecordedRun) -> Section:
  names = ('version', 'git_sha', 'dirty', 'diff_sha256', 'sources')
  missing = [side.run_id for side in (a, b) if not side.provenance.get('code')]
  codes = [side.provenance.get('code') or {} for side in (a, b)]
  # What only one side recorded is not known to differ.
  shared = [name for name in names if all(name in code for code in codes)]
  changes = _changes(*({name: code[name] for name in shared} for code in codes))
  components = [{step.component: fingerprint(step) for step in side.steps} for side in (a, b)]
  both = [name for name in components[0] if components[0][name] and components[1].get(name)]
  changes += _changes(
    *({f'code of {name}': component[name] for name in both} for component in components)
  )
  remarks = [_not_recorded('commit and sources', missing)] if missing else []
  remarks += [
    f'{side.run_id} ran with changes to {len(code["changed"])} files that were not committed; '
    f'{provenance.FILE} in its folder names them'
    for side, code in zip((a, b), codes, strict=True)
    if code.get('changed')
  ]
  return Section('code', tuple(changes), tuple(remarks), compared=bool(shared or both))


def _packages(a: RecordedRun, b: RecordedRun) -> Section:
  locks = [(side.provenance.get('lock') or {}).get('sha256') for side in (a, b)]
  missing = [side.run_id for side, lock in zip((a, b), locks, strict=True) if not lock]
  if missing:
    return Section('packages', remarks=(_not_recorded('lock', missing),), compared=False)
  changes = _changes({'lock': locks[0]}, {'lock': locks[1]})
  remarks = []
  old, new = (side.provenance.get('packages') or {} for side in (a, b))
  if old and new:
    changes += _changes(old, new)
  else:
    remarks.append('the versions of the packages were not recorded for both')
  return Section('packages', tuple(changes), tuple(remarks))


def _machine(a: RecordedRun, b: RecordedRun) -> Section:
  missing = [side.run_id for side in (a, b) if not side.provenance.get('hardware')]
  if missing:
    return Section('machine', remarks=(_not_recorded('machine', missing),), compared=False)
  flat = [
    dict(_flat({**side.provenance['system'], **side.provenance['hardware']})) for side in (a, b)
  ]
  # Unknown where the run ended before TensorFlow was loaded.
  if any(one.get('gpus') is None for one in flat):
    for one in flat:
      one.pop('gpus', None)
  return Section('machine', tuple(_changes(*flat)))


def _figures(a: RecordedRun, b: RecordedRun, rows: Rows) -> Section:
  figures = [dict(_figures_of(side)) for side in (a, b)]
  changes = _changes(*figures)
  slices = [_slices(side) for side in (a, b)]
  moved = [change for change in _changes(*slices) if change.difference]
  moved.sort(key=_weight, reverse=True)
  changes += moved[:_SLICES]
  remarks = [_not_recorded('evaluation', missing)] if (missing := _not_judged(a, b)) else []
  if len(moved) > _SLICES:
    remarks.append(f'{len(moved) - _SLICES} more slices changed less, given their size')
  if not missing and rows is not None and rows.test_shared < max(rows.test_images):
    remarks.append(
      f'they were not judged on the same test images: of {rows.test_images[0]} and '
      f'{rows.test_images[1]}, {rows.test_shared} are in both'
    )
  return Section('figures', tuple(changes), tuple(remarks), compared=not missing)


def _serving(a: RecordedRun, b: RecordedRun) -> Section:
  sides = [side.summary.get('serving') or {} for side in (a, b)]
  missing = [side.run_id for side, found in zip((a, b), sides, strict=True) if not found]
  if missing:
    return Section('serving', remarks=(_not_recorded('serving', missing),), compared=False)
  changes = [
    Change(name, old, new, new - old) for name, old, new in serving_difference.moved(*sides)
  ]
  # Measured once and taken from the cache: there is nothing to explain.
  remarks = [] if sides[0] == sides[1] else [serving_difference.remark(*sides)]
  return Section('serving', tuple(changes), tuple(remarks))


def _weight(change: Change) -> float:
  """Returns how far a slice moved, in units of what chance moves one of its size.

  The standard deviation of the difference of two proportions is proportional to
  sqrt(1 / n_a + 1 / n_b); among slices of one image, all or nothing is no news.
  """
  return abs(change.difference or 0) / math.sqrt(1 / change.a['n'] + 1 / change.b['n'])


def _not_judged(a: RecordedRun, b: RecordedRun) -> list[str]:
  return [side.run_id for side in (a, b) if not side.verdict]


def _figures_of(side: RecordedRun) -> Iterator[tuple[str, Any]]:
  """Yields accuracies with n and interval, and what else was measured, by name."""
  candidate = side.verdict.get('candidate') or {}
  yield 'accuracy on test', candidate.get('accuracy')
  if side.summary.get('production'):
    yield 'accuracy on production', side.summary['production'].get('accuracy')
  leaks = side.verdict.get('leaks') or {}
  if leaks.get('affected'):
    yield 'accuracy without leaks', leaks.get('accuracy_without')
  for name in ('log_loss', 'macro_f1'):
    if name in candidate:
      yield name, candidate[name]
  if side.verdict:
    yield 'blessed', side.verdict.get('blessed')
  for name in ('parameters', 'best_epoch', 'best_val_loss'):
    if name in side.training:
      yield name, side.training[name]
  for stage in side.training.get('stages') or ():
    yield f'stage {stage["name"]}: epochs', stage.get('epochs_run')
    yield f'stage {stage["name"]}: val accuracy', stage.get('val_accuracy')


def _slices(side: RecordedRun) -> dict[str, Any]:
  return {
    f'slice {row["key"]}={row["value"]}': row['accuracy']
    for row in side.verdict.get('slices') or ()
  }


def _time(a: RecordedRun, b: RecordedRun) -> Section:
  changes = [
    change
    for change in _changes(_totals(a), _totals(b))
    if change.difference is None or abs(change.difference) >= _NOISE[change.what]
  ]
  works = [{step.component: step for step in side.steps} for side in (a, b)]
  for name in {**works[0], **works[1]}:
    old, new = works[0].get(name), works[1].get(name)
    if not (old and new) or old.state != new.state or abs(old.seconds - new.seconds) >= _SECONDS:
      changes.append(Change(name, _work(old), _work(new)))
  return Section('time', tuple(changes))


def _totals(side: RecordedRun) -> dict[str, Any]:
  energy = side.summary.get('energy') or {}
  return {
    'seconds': side.summary.get('seconds'),
    'cpu_seconds': energy.get('cpu_seconds'),
    'energy_wh': energy.get('wh'),
  }


def _work(step: lineage.Step | None) -> str | None:
  if step is None:
    return None
  return f'{_STATES.get(step.state, step.state.lower())}, {step.seconds:.1f} s'


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
  """Returns what differs, in the order of the names."""
  return [
    Change(name, old.get(name), new.get(name), _difference(old.get(name), new.get(name)))
    for name in {**old, **new}
    if old.get(name) != new.get(name)
  ]


def _difference(old: Any, new: Any) -> float | None:
  before, after = (part.get('value') if isinstance(part, Mapping) else part for part in (old, new))
  if isinstance(before, bool) or isinstance(after, bool):
    return None
  if isinstance(before, int | float) and isinstance(after, int | float):
    return after - before
  return None


def _flat(tree: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
  """Yields the leaves of a tree by their path; a list of plain values is a leaf."""
  branches: Iterable[tuple[Any, Any]] = ()
  if isinstance(tree, Mapping):
    branches = tree.items()
  elif isinstance(tree, list) and any(isinstance(one, Mapping) for one in tree):
    branches = enumerate(tree)
  else:
    yield prefix, tree
  for name, value in branches:
    yield from _flat(value, f'{prefix}.{name}' if prefix else str(name))


def _not_recorded(what: str, runs: Iterable[str]) -> str:
  return f'{what}: not recorded for {" and ".join(dict.fromkeys(runs))}'
