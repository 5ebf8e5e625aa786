"""kill -9 at random moments of a training in a process of its own, then the same command."""

import csv
import json
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from models.training import curves

ROOT = pathlib.Path(__file__).parents[4]
# What depends on the clock.
TIMED = ('seconds', 'images_per_second', 'waiting_share')

_TRAIN = """
import json, sys
import numpy as np
import tensorflow_transform as tft
from models.training import checkpoints, run
from models.training.data import TrainingData
from schemas.config import Config

sys.path.append('examples')
config, train, val, transform, folder, kept = sys.argv[1:]
data = TrainingData([train], [val], tft.TFTransformOutput(transform))
print('begins', flush=True)
trained = run.train(
  Config.model_validate_json(config), data, 'none', run.pathlib.Path(folder),
  checkpoints.Checkpoints(run.pathlib.Path(kept)),
)
np.savez(folder + '/weights.npz', *trained.model.get_weights())
"""


class Training:
  """The same training, begun as often as need be."""

  def __init__(self, data, transform, folder: pathlib.Path):
    self._given = [data.train.files[0], data.val.files[0], transform.transform_savedmodel_dir]
    self._given[2] = str(pathlib.Path(self._given[2]).parent)
    self.folder = folder
    self._config = json.dumps(
      {
        'name': 'colours',
        'image': {'height': 32, 'width': 32},
        'model': {'build_fn': 'own_code.network.build', 'drop_connect': 0.1},
        'train': {'batch_size': 8, 'epochs': 8, 'checks': False, 'checkpoint_seconds': 0},
      }
    )

  def start(self) -> subprocess.Popen:
    """Starts it; returns when it has begun."""
    command = [sys.executable, '-c', _TRAIN, self._config, *self._given]
    command += [str(self.folder / 'run'), str(self.folder / 'kept')]
    process = subprocess.Popen(
      command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'begins\n', process.communicate()[1]
    return process

  def steps(self) -> int:
    """Returns how many batches the last checkpoint has behind it."""
    names = sorted(path.stem for path in (self.folder / 'kept').glob('step-*.npz'))
    return int(names[-1].removeprefix('step-')) if names else 0

  def finish(self) -> dict:
    """Runs it to its end; returns the record."""
    process = self.start()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads((self.folder / 'run/training.json').read_text(encoding='utf-8'))

  def weights(self) -> list[np.ndarray]:
    with np.load(self.folder / 'run/weights.npz') as stored:
      return [stored[name] for name in stored.files]

  def rows(self) -> list[dict]:
    with open(self.folder / 'run/curves.csv', encoding='utf-8', newline='') as stream:
      rows = list(csv.DictReader(stream))
    return [{name: row[name] for name in curves.COLUMNS if name not in TIMED} for row in rows]


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_process_goes_on_to_the_same_weights_and_curve(
  training_data, transform_output, tmp_path
):
  whole = Training(training_data, transform_output, tmp_path / 'whole')
  record = whole.finish()
  assert record['resumed_from'] is None
  last = whole.steps()
  assert last == 8 * 6  # 48 images in batches of 8

  killed = Training(training_data, transform_output, tmp_path / 'killed')
  draw = random.Random(0)
  # In the first half, and again some batches further on.
  for target in (draw.randint(1, last // 2), draw.randint(last // 2 + 3, last - 3)):
    process = killed.start()
    while killed.steps() < target and process.poll() is None:
      time.sleep(0.002)
    process.kill()
    process.communicate()
    assert target <= killed.steps() < last
  before = killed.steps()
  record = killed.finish()
  # Not from the start: it went on from the last or, had the kill damaged it, the one before.
  assert record['resumed_from'] in (f'step-{before:09d}.npz', f'step-{before - 1:09d}.npz')
  for one, other in zip(whole.weights(), killed.weights(), strict=True):
    np.testing.assert_array_equal(one, other)
  assert killed.rows() == whole.rows()
