"""Starts the probe and brings back what it measured."""

import dataclasses
import json
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence

import numpy as np

from models.proof import Judged
from schemas import module_process

# Of the test split; the first ones in file order. More would only cost time.
MOST_IMAGES = 1000
_LONGEST_SECONDS = 1800
_LAST_LINES = 12


@dataclasses.dataclass(frozen=True)
class Replayed:
  """What became of the proof that the export carries.

  Attributes:
    judged: an image each, or two; by no limit.
    limit: that the proof allows.
    problem: why there is none; '' where there is one.
  """

  judged: tuple[Judged, ...]
  limit: float
  problem: str = ''


@dataclasses.dataclass(frozen=True)
class Measured:
  """What the probe found.

  Attributes:
    load_ms: of the export.
    cold_ms: of the first call.
    warm_ms: of each later call with one image.
    rss_mb: peak resident memory of the process, 10^6 bytes.
    problems: with signatures; empty if all ran.
    ids: image ids, string [N].
    by_bytes: float32 [N, K], by serving_default.
    by_records: float32 [N, K], by serving_examples.
    labels: string [N, 2], the names that both answered.
    replayed: the proof of the export.
  """

  load_ms: float
  cold_ms: float
  warm_ms: tuple[float, ...]
  rss_mb: float
  problems: tuple[str, ...]
  ids: np.ndarray
  by_bytes: np.ndarray
  by_records: np.ndarray
  labels: np.ndarray
  replayed: Replayed


@dataclasses.dataclass(frozen=True)
class Crashed:
  """The probe did not end well.

  Attributes:
    detail: the last lines that it wrote.
  """

  detail: str


def measure(
  export: pathlib.Path | str,
  records: Sequence[str],
  calls: int,
  images: int = MOST_IMAGES,
) -> Measured | Crashed:
  """Runs the probe in a fresh process.

  Args:
    export: the folder with saved_model.pb.
    records: TFRecord files of raw examples, gzip where they end in .gz.
    calls: warm calls to time.
    images: that are answered for the comparison, at most.
  """
  with tempfile.TemporaryDirectory(prefix='serving_validator-') as folder:
    request = pathlib.Path(folder, 'request.json')
    request.write_text(
      json.dumps(
        {'export': str(export), 'records': list(records), 'calls': calls, 'images': images}
      )
    )
    command = module_process.command('components.serving_validator.probe', str(request), folder)
    try:
      subprocess.run(
        command,
        env=module_process.environment(),
        check=True,
        timeout=_LONGEST_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
      )
    except subprocess.CalledProcessError as error:
      return Crashed(_last_lines(error.stderr) or f'exit code {error.returncode}')
    except subprocess.TimeoutExpired:
      return Crashed(f'no end after {_LONGEST_SECONDS} seconds')
    return _read(pathlib.Path(folder))


def _read(folder: pathlib.Path) -> Measured:
  answer = json.loads((folder / 'answer.json').read_text(encoding='utf-8'))
  with np.load(folder / 'answers.npz') as arrays:
    return Measured(
      answer['load_ms'],
      answer['cold_ms'],
      tuple(answer['warm_ms']),
      answer['rss_mb'],
      tuple(answer['problems']),
      arrays['ids'],
      arrays['by_bytes'],
      arrays['by_records'],
      arrays['labels'],
      replayed(answer['proof']),
    )


def replayed(found: dict) -> Replayed:
  """Reads what the probe wrote about the proof."""
  return Replayed(
    tuple(Judged(**one) for one in found.get('judged', ())),
    found.get('limit', 0.0),
    found.get('problem', ''),
  )


def _last_lines(text: bytes) -> str:
  lines = [line for line in text.decode(errors='replace').splitlines() if line.strip()]
  return '\n'.join(line[:500] for line in lines[-_LAST_LINES:])
