"""A stranger's folder of photos: three commands and no edit, and the draft."""

import json
import subprocess
import sys

import pytest

from schemas import features
from tests.e2e.experiment import sightline, write_images

pytestmark = pytest.mark.slow
# A stranger would wait longer; what is tested does not hang on the accuracy.
# From random weights: one short stage, of a network that is quickly built.
QUICK = (
  *('--set', 'train.epochs=2', '--set', 'evaluate.min_accuracy=0'),
  *('--set', 'model.weights=none', '--set', 'model.backbone=efficientnet_tiny'),
  *('--set', 'train.checks=false', '--set', 'analysis.run=false'),
  *('--set', 'floors.gates=false', '--set', 'floors.reason=two epochs beat nothing'),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """One subfolder a class, and no CSV."""
  work = tmp_path_factory.mktemp('stranger')
  rows = write_images(work / 'made', count=60)
  for row in rows:
    place = work / 'my photos' / row['label']
    place.mkdir(parents=True, exist_ok=True)
    (work / 'made/images' / row['filename']).rename(place / row['filename'])
  return work


def test_init_run_serve_and_predict(folder):
  done = sightline('init', 'colours', '--data-root', 'my photos', cwd=folder)
  assert done.code == 0, done.output
  done = sightline('run', 'colours/colours.yaml', *QUICK, cwd=folder)
  assert done.code == 0, done.output
  (path,) = folder.glob('runs/colours/*/summary.json')
  version = json.loads(path.read_text())['published']['version']
  server = subprocess.Popen(
    [sys.executable, '-m', 'pipeline', 'serve', 'colours/colours.yaml', '--port', '0']
    + ['--grpc-port', '0'],
    cwd=folder,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  try:
    line = next(line for line in server.stdout if line.startswith('serving colours at '))
    url = line.split(' at ')[1].split('/v1/')[0]
    images = sorted((folder / 'my photos/red').iterdir())[:2]
    asked = sightline('predict', '--model', 'colours', '--url', url, *images, cwd=folder)
    assert asked.code == 0, asked.output
    assert asked.output.count(version) == 3  # a row each, and the last line
    refused = sightline('predict', '--model', 'colours', '--url', url, path, cwd=folder)
    assert refused.code == 1 and 'Traceback' not in refused.output
    server.terminate()
    assert server.wait(30) == 0
  finally:
    server.kill()
  asked = sightline('predict', '--model', 'colours', '--url', url, *images, cwd=folder)
  assert asked.code == 1 and 'Traceback' not in asked.output


@pytest.mark.long
def test_a_draft_names_its_open_questions_and_publishes_in_its_run_folder(folder):
  done = sightline('run', '--data-root', 'my photos', '--no-ask', *QUICK, cwd=folder)
  assert done.code == 0, done.output
  (path,) = folder.glob('runs/my-photos/*/summary.json')
  found = json.loads(path.read_text())
  assert found['draft'] is True
  assert 'DRAFT      data.card.source is not filled in' in done.output
  assert found['published']['directory'].startswith(str(folder / 'runs/my-photos/serving/'))
  assert {row['key'] for row in found['slices']} == {'label', *features.BUCKETS}
