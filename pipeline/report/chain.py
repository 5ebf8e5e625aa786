"""The way from the data to the published version, link by link, with the hash of each."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.report.material import Material

_SHORT = 16


class Link(NamedTuple):
  """One link: what it is, what identifies it, and further facts in words."""

  title: str
  value: str
  facts: list[str]


def links(material: Material) -> list[Link]:
  """Returns the links that are recorded, from the data to the version."""
  found = [
    *_data(material),
    *_code(material.recorded.provenance),
    *_machine(material),
    *_model(material),
    *_version(material),
  ]
  return [link for link in found if link.value or link.facts]


def _data(material: Material) -> Iterator[Link]:
  dataset = material.recorded.dataset
  if dataset:
    yield Link(
      'Dataset',
      str(dataset.get('dataset_sha256') or ''),
      [f'manifest {str(dataset.get("manifest_sha256") or "not recorded")[:_SHORT]}']
      + ([f'span {dataset["span"]}'] if dataset.get('span') else []),
    )
    split = dataset.get('split') or {}
    data = material.config.get('data') or {}
    lock = data.get('lock') or 'splits.lock.csv beside the manifest'
    counts = ', '.join(f'{name} {n:,}' for name, n in (dataset.get('splits') or {}).items())
    yield Link(
      'Split lock',
      str(lock),
      [counts, f'seed {split["seed"]}' if 'seed' in split else ''],
    )


def _code(recorded: Mapping[str, Any]) -> Iterator[Link]:
  code = recorded.get('code') or {}
  if code:
    if code.get('git_sha'):
      changed = len(code.get('changed') or [])
      files = 'file differs' if changed == 1 else 'files differ'
      state = f'dirty: {changed} {files}' if code.get('dirty') else 'clean'
      yield Link('Code', code['git_sha'], [state, *_sources(code)])
    else:
      reason = code.get('git_reason') or 'commit not recorded'
      yield Link('Code', str(code.get('version') or ''), [reason, *_sources(code)])
  lock = recorded.get('lock') or {}
  if lock:
    deviations = lock.get('deviations') or []
    yield Link(
      'Lock of the packages',
      str(lock.get('sha256') or lock.get('reason') or ''),
      deviations
      or (['no package deviates'] if lock.get('sha256') and 'deviations' in lock else []),
    )
  if recorded.get('config_sha256'):
    yield Link('Config', recorded['config_sha256'], [])
  seeds = recorded.get('seeds') or {}
  if seeds:
    yield Link('Seeds', ', '.join(f'{name} {seed}' for name, seed in seeds.items()), [])


def _sources(code: Mapping[str, Any]) -> list[str]:
  return [f'{name} {code[name]}' for name in ('version', 'sources') if code.get(name)]


def _machine(material: Material) -> Iterator[Link]:
  hardware = material.recorded.provenance.get('hardware') or {}
  system = material.recorded.provenance.get('system') or {}
  if hardware:
    gpus = hardware.get('gpus')
    yield Link(
      'Hardware',
      f'{hardware.get("cpu") or "processor not recorded"}, {hardware.get("cores")} cores',
      [
        f'{hardware.get("memory_gib")} GiB of memory',
        'GPUs not recorded' if gpus is None else ', '.join(gpus) or 'no GPU',
        *(str(system[name]) for name in ('python', 'os') if system.get(name)),
      ],
    )
  energy = material.summary.get('energy') or {}
  if energy:
    yield Link(
      'Energy',
      f'{energy["wh"]:.2g} Wh',
      [f'{energy["cpu_seconds"]:.0f} CPU-seconds', str(energy['source'])],
    )


def _model(material: Material) -> Iterator[Link]:
  model = material.summary.get('model') or {}
  if model:
    parameters = model.get('parameters')
    yield Link(
      'Model',
      str(model.get('weights_sha256') or ''),
      ([f'{parameters:,} parameters'] if parameters else [])
      + ([str(model['compute_dtype'])] if model.get('compute_dtype') else []),
    )


def _version(material: Material) -> Iterator[Link]:
  published = material.summary.get('published') or {}
  if published:
    yield Link('Pushed version', str(published['version']), [str(published['directory'])])
  elif material.recorded.version:
    yield Link('Pushed version', material.recorded.version, [])
