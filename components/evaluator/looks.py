"""The record of looks at a test set: what a model answered once, it is not asked again."""

import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from schemas import weights_hash

_log = logging.getLogger(__name__)


class Record:
  """Answers by test set and model, in a folder that outlives runs.

  A name is made of the hashes of images and labels in their order, and of the files of the
  export that answer: other images, weights or another graph have another name.
  """

  def __init__(self, folder: pathlib.Path | None):
    """Opens it.

    Args:
      folder: made when first written to; None keeps nothing.
    """
    self._folder = folder

  def answers(
    self, images_sha256: str, export: pathlib.Path, ask: Callable[[], np.ndarray]
  ) -> tuple[np.ndarray, bool]:
    """Returns the probabilities, and whether they came from the record.

    Args:
      images_sha256: of the images, in their order.
      export: the model.
      ask: runs it over them: float32 [N, K].
    """
    if self._folder is None:
      return ask(), False
    path = self._folder / images_sha256 / f'{export_sha256(export)}.npy'
    try:
      found = np.load(path)
    except FileNotFoundError:
      pass
    except (ValueError, EOFError, OSError) as error:
      _log.warning('%s cannot be read (%s): the model is asked again', path, error)
    else:
      _log.info('the answers of %s are those of an earlier look: %s', export, path)
      return found, True
    answers = ask()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    with part.open('wb') as stream:
      np.save(stream, answers)
      stream.flush()
      os.fsync(stream.fileno())
    part.replace(path)
    return answers, False


def images_sha256(rows: Sequence[tuple[str, str]]) -> str:
  """Returns the hash of image ids and labels, in their order."""
  return hashlib.sha256('\n'.join(f'{one}\t{label}' for one, label in rows).encode()).hexdigest()


def export_sha256(export: pathlib.Path) -> str:
  """Returns the hash of what answers: graph, variables and identity."""
  digest = hashlib.sha256(weights_hash.weights_sha256(export).encode())
  graph = (
    path for path in sorted(export.iterdir()) if path.name in ('saved_model.pb', 'fingerprint.pb')
  )
  for path in graph:
    digest.update(path.read_bytes())
  return digest.hexdigest()
