"""Two spans through the pipeline's own components: the second one drifts and is stopped."""

import csv
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Runs the pipeline up to DataGate; exit code 1 and the error's text where it stops.
_TO_THE_GATE = """
import sys
from pipeline import runner
from schemas.errors import SightlineError
from schemas.loader import load_config
config = load_config(sys.argv[1], sys.argv[2:])
compiled = runner.compile_pipeline(config)
wanted = [node for node in compiled.nodes if node.pipeline_node.node_info.id in (
    "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "PreviousSpan",
    "DataGate")]
assert len(wanted) == 6
del compiled.nodes[:]
compiled.nodes.extend(wanted)
class Quiet:
  def planned(self, components): pass
  def started(self, component): pass
  def finished(self, component, outcome, seconds): print(component, outcome)
with runner.open_run(config) as run:
  try:
    runner.execute(lambda: compiled, run, Quiet())
  except SightlineError as error:
    print(error)
    sys.exit(1)
"""


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
  """Digits 0, 1 and 2: some 90 each in span 1; in span 2 four fifths of the zeros are gone."""
  folder = tmp_path_factory.mktemp('digits')
  digits = datasets.load_digits(n_class=3)
  seen = dict.fromkeys(range(3), 0)
  rows: dict[int, list] = {1: [], 2: [], 3: []}
  for number, (values, label) in enumerate(zip(digits.images, digits.target, strict=True)):
    seen[int(label)] += 1
    late = seen[int(label)] > 88
    if late and label == 0 and seen[0] > 88 + 18:
      spans = [3]
    else:
      spans = [2, 3] if late else [1]
    for span in spans:
      images = folder / 'data' / f'span-{span}' / 'images'
      images.mkdir(parents=True, exist_ok=True)
      name = f'{number:04d}.png'
      Image.fromarray(np.round(values * (255 / 16)).astype(np.uint8)).save(images / name)
      rows[span].append((name, str(label)))
  for span, listed in rows.items():
    with open(folder / 'data' / f'span-{span}' / 'labels.csv', 'w', newline='') as stream:
      csv.writer(stream).writerows([('filename', 'label'), *listed])
  config = folder / 'three.yaml'
  config.write_text('name: three\ndata: {root: data, near_copies: false}\nrun: {root: run}\n')
  return config


def _run(config: pathlib.Path, *overrides: str):
  done = subprocess.run(
    [sys.executable, '-c', _TO_THE_GATE, config, *overrides],
    capture_output=True,
    text=True,
    timeout=300,
    cwd=config.parent,
  )
  assert 'Traceback' not in done.stdout, done.stdout
  return done.returncode, done.stdout


def _report(config: pathlib.Path) -> dict:
  reports = config.parent.glob('run/artifacts/DataGate/report/*/report.json')
  latest = max(reports, key=lambda path: int(path.parent.name))
  return json.loads(latest.read_text())


def test_a_span_that_lost_four_fifths_of_a_class_is_stopped_and_the_next_is_compared(experiment):
  code, output = _run(experiment, 'data.span=1')
  assert code == 0, output
  assert _report(experiment)['previous_span'] is None

  code, output = _run(experiment, 'data.span=2')
  assert code == 1, output
  (line,) = [line for line in output.splitlines() if line.startswith('drift, feature label')]
  assert "the share of '0' changed from " in line
  assert 'in train of span 1 to ' in line and 'in train of span 2: by 0.2' in line
  assert re.search(r"Files of '0' in train of span 1: [0-9]{4}.png, ", line)
  assert "Files of '0' in train of span 2: " in line and '.png' in line.rpartition('span 2: ')[2]
  assert 'data.on_drift: warn' in output

  # The stopped span is no measure: the latest is compared with span 1, and passes.
  code, output = _run(experiment)
  assert code == 0, output
  found = _report(experiment)
  assert (found['span'], found['previous_span'], found['drift']) == (3, 1, [])

  # Told, and let in.
  code, output = _run(experiment, 'data.span=2', 'data.on_drift=warn')
  assert code == 0, output
  found = _report(experiment)
  assert (found['span'], found['previous_span']) == (2, 1)
  assert [line.partition(':')[0] for line in found['drift']] == ['drift, feature label']
