"""The gates between an export and its publication, and their report."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from components.serving_validator.gate import Gate
from components.serving_validator.probe_process import Crashed, Measured, Replayed
from schemas.config import ServingValidatorConfig

REPORT = 'gates.json'

_NEXT_STEPS = {
  'loads': 'TensorFlow Serving could not run this export either. Read the error, and export '
  'through keras.export.ExportArchive.',
  'signatures': 'Add or mend the signature in the export.',
  'max_difference': 'The export answers otherwise than the model was evaluated: look for a '
  'second decoder, another preprocessing, or weights from another run.',
  'signatures_difference': 'Let serving_default and serving_examples share one function.',
  'labels': 'The names of the classes stand in another order than they were evaluated in: export '
  "with the labels of Transform's vocabulary.",
  'proof': 'The export does not answer as the process that trained it: look for swapped channels, '
  'another scale or resize, EXIF that is not read, and a decoder that was changed.',
  'p95_ms': 'Take a smaller backbone or image size, free the machine, or raise '
  'serving_validator.p95_ms.',
  'disk_mb': 'Take a smaller backbone, or raise serving_validator.disk_mb.',
  'rss_mb': 'Take a smaller backbone or image size, or raise serving_validator.rss_mb.',
}


@dataclasses.dataclass(frozen=True)
class Report:
  """Every gate, and figures that no gate judges."""

  gates: tuple[Gate, ...]
  figures: Mapping[str, float | None]

  @property
  def blessed(self) -> bool:
    return all(gate.ok for gate in self.gates)

  @property
  def failed(self) -> tuple[Gate, ...]:
    return tuple(gate for gate in self.gates if not gate.ok)


def judge(
  measured: Measured | Crashed,
  disk_bytes: int,
  evaluated: Mapping[str, np.ndarray],
  names: Sequence[str],
  config: ServingValidatorConfig,
) -> Report:
  """Compares what was measured with what is asked.

  Args:
    measured: of the probe.
    disk_bytes: size of the export.
    evaluated: the probabilities [K] that Evaluator saw, by image id.
    names: the K classes of the evaluated model, by id.
    config: the limits.
  """
  disk = _limit('disk_mb', disk_bytes / 1e6, config.disk_mb, 'MB')
  if isinstance(measured, Crashed):
    return Report((_limit('loads', None, 0, 'errors', measured.detail), disk), {})
  p50, p95, p99 = (float(np.percentile(measured.warm_ms, rank)) for rank in (50, 95, 99))
  difference, detail = _difference(measured, evaluated)
  gates = (
    _limit('loads', 0, 0, 'errors'),
    _limit('signatures', len(measured.problems), 0, 'problems', ' '.join(measured.problems)),
    _limit('max_difference', difference, config.max_difference, 'of a probability', detail),
    _limit(
      'signatures_difference',
      _largest(measured.by_bytes, measured.by_records),
      config.max_difference,
      'of a probability',
    ),
    _limit('labels', *_other_labels(measured, evaluated, names, config.max_difference)),
    _limit('proof', *_proof(measured.replayed, config.max_difference)),
    _limit('p95_ms', p95, config.p95_ms, 'ms'),
    disk,
    _limit('rss_mb', measured.rss_mb, config.rss_mb, 'MB'),
  )
  return Report(
    gates,
    {
      'p50_ms': p50,
      'p99_ms': p99,
      'cold_ms': measured.cold_ms,
      'load_ms': measured.load_ms,
      'warm_calls': len(measured.warm_ms),
      'images_compared': len(measured.ids),
      'proof_images': len({one.name for one in measured.replayed.judged}),
    },
  )


def write(report: Report, folder: pathlib.Path, **identity: object) -> None:
  """Writes gates.json: `blessed`, `gates`, `figures`, and what else is given."""
  (folder / REPORT).write_text(
    json.dumps(
      {
        'blessed': report.blessed,
        'gates': [dataclasses.asdict(gate) for gate in report.gates],
        'figures': dict(report.figures),
        **identity,
      },
      indent=2,
    )
    + '\n',
    encoding='utf-8',
  )


def read(folder: pathlib.Path | str) -> Report:
  """Reads the gates.json of a blessing."""
  found = json.loads(pathlib.Path(folder, REPORT).read_text(encoding='utf-8'))
  return Report(tuple(Gate(**gate) for gate in found['gates']), found['figures'])


def _limit(name: str, value: float | None, limit: float, unit: str, detail: str = '') -> Gate:
  # JSON has no NaN, and a difference that is none is not a small one.
  if value is not None and not math.isfinite(value):
    value = None
  return Gate(
    name, value, limit, value is not None and value <= limit, unit, _NEXT_STEPS[name], detail
  )


def _difference(
  measured: Measured,
  evaluated: Mapping[str, np.ndarray],
) -> tuple[float | None, str]:
  unknown = [name for name in measured.ids.tolist() if name not in evaluated]
  if unknown:
    return None, (
      f'{len(unknown)} of {len(measured.ids)} test images were not evaluated, '
      f'for instance {unknown[0]}.'
    )
  expected = [evaluated[name] for name in measured.ids.tolist()]
  classes = measured.by_bytes.shape[1]
  if any(len(row) != classes for row in expected):
    return None, f'The export has {classes} classes, the evaluated model another number.'
  by_image = np.abs(measured.by_bytes - np.stack(expected)).max(axis=1)
  worst = int(np.argmax(by_image))
  return float(by_image[worst]), f'Largest on image {measured.ids[worst]}.'


def _other_labels(
  measured: Measured,
  evaluated: Mapping[str, np.ndarray],
  names: Sequence[str],
  max_difference: float,
) -> tuple[int | None, float, str, str]:
  """Returns how many images got a name that is not the evaluated model's; for _limit.

  Where two classes are as likely within what probabilities may differ, either name is right.
  """
  others, example = 0, ''
  known = [(row, name) for row, name in enumerate(measured.ids.tolist()) if name in evaluated]
  for row, image_id in known:
    probabilities = evaluated[image_id]
    if len(probabilities) != len(names):
      return None, 0, 'images', f'{len(names)} names for {len(probabilities)} classes.'
    likely = np.flatnonzero(probabilities >= np.nanmax(probabilities) - 2 * max_difference)
    right = {names[index] for index in likely.tolist()}
    wrong = [name for name in measured.labels[row].tolist() if name not in right]
    if wrong:
      others += 1
      example = example or (
        f'Image {image_id} is called {wrong[0]!r}; evaluated as {" or ".join(sorted(right))}.'
      )
  return (others if known else None), 0, 'images', example


def _proof(replayed: Replayed, max_difference: float) -> tuple[float | None, float, str, str]:
  """Returns the largest difference on the images that the export carries; for _limit."""
  unit = 'of a probability'
  # The two sides are computed in another order, which the network's precision bounds.
  limit = max(max_difference, replayed.limit)
  if replayed.problem:
    return None, limit, unit, replayed.problem
  wrong = [one for one in replayed.judged if not one.ok]
  if wrong:
    return None, limit, unit, f'{len(wrong)} images: {wrong[0].name} is {wrong[0].said}'
  worst = max(
    (one for one in replayed.judged if one.difference is not None),
    key=lambda one: one.difference or 0.0,
  )
  return worst.difference, limit, unit, f'Largest on {worst.name}.'


def _largest(first: np.ndarray, second: np.ndarray) -> float | None:
  return float(np.abs(first - second).max()) if first.shape == second.shape else None
