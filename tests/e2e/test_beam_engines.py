"""The same steps with another Beam engine leave the same artifacts.

`portable` here is Beam's own job service and worker processes, all on this machine
and reached over gRPC: it proves that everything can be sent and computed elsewhere,
not that it gets faster.
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from schemas.loader import load_config
from tests.e2e.experiment import Experiment, sightline, write_csv, write_images

# The first test waits for the steps on both engines, minutes on a busy machine.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
ROOT = pathlib.Path(__file__).parents[2]
# More than one row group.
IMAGES = 300
ENGINES = ('local', 'portable')

_DATA_STEPS = """
import json, sys
from pipeline import beam_preflight, runner
from schemas.loader import load_config
config = load_config(sys.argv[1], sys.argv[2:])
beam_preflight.check(config)
compiled = runner.compile_pipeline(config, 'Transform')
wanted = [node for node in compiled.nodes if node.pipeline_node.node_info.id in (
    'ImageExampleGen', 'StatisticsGen', 'SchemaGen', 'ExampleValidator', 'DataGate', 'Transform')]
del compiled.nodes[:]
compiled.nodes.extend(wanted)
class Quiet:
  def planned(self, components): pass
  def started(self, component): pass
  def finished(self, component, outcome, seconds): pass
with runner.open_run(config) as run:
  runner.execute(lambda: compiled, run, Quiet())
"""

_EVALUATION = """
import dataclasses, json, pathlib, sys
import components
from components.evaluator import executor
from pipeline import beam_engine, evaluation
from schemas.loader import load_config
from tests.unit.serving import exports
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils
data, model, out = map(pathlib.Path, sys.argv[2:5])
config = load_config(sys.argv[1], sys.argv[5:])
def artifact(kind, uri, number=1):
  made = kind()
  made.uri, made.id = str(uri), number
  return made
(examples,) = (data / 'artifacts/ImageExampleGen/examples').iterdir()
(dataset,) = (data / 'artifacts/ImageExampleGen/dataset').iterdir()
examples = artifact(standard_artifacts.Examples, examples)
examples.split_names = json.dumps(['train', 'val', 'test'])
outputs = {
  'evaluation': [artifact(standard_artifacts.ModelEvaluation, out / 'evaluation')],
  'blessing': [artifact(standard_artifacts.ModelBlessing, out / 'blessing')],
  'predictions': [artifact(components.Predictions, out / 'predictions')],
}
for (made,) in outputs.values():
  pathlib.Path(made.uri).mkdir(parents=True)
context = executor.Executor.Context(
  beam_pipeline_args=list(beam_engine.arguments_for_files(config.beam)),
  tmp_dir=str(out / 'tmp'), unique_id='1')
executor.Executor(context).Do(
  {'examples': [examples], 'model': [artifact(standard_artifacts.Model, model)],
   'dataset': [artifact(components.Dataset, dataset)]},
  outputs,
  {'eval_config': proto_utils.proto_to_json(evaluation.eval_config(config)),
   'example_splits': json_utils.dumps(['test']),
   'asked': json.dumps(dataclasses.asdict(evaluation.asked(config))),
   'state_dir': '', 'code_fingerprint': 'code'})
"""


@contextlib.contextmanager
def local_cluster():
  """Yields a job service and a worker pool: their process, and the overrides that lead there."""
  process = subprocess.Popen(
    [sys.executable, ROOT / 'deploy/beam/local_cluster.py'], stdout=subprocess.PIPE, text=True
  )
  try:
    section = yaml.safe_load(''.join(process.stdout.readline() for _ in range(5)))['beam']
    found = section['portable']
    yield (
      process,
      (
        'beam.engine=portable',
        f'beam.portable.job_endpoint={found["job_endpoint"]}',
        f'beam.portable.worker_pool={found["worker_pool"]}',
      ),
    )
  finally:
    process.terminate()
    process.wait(60)


@pytest.fixture(scope='module')
def cluster():
  with local_cluster() as (_, found):
    yield found


def script(code: str, *arguments: object) -> str:
  done = subprocess.run(
    [sys.executable, '-c', code, *map(str, arguments)],
    capture_output=True,
    text=True,
    timeout=420,
    cwd=ROOT,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return done.stdout


@pytest.fixture(scope='module')
def overrides(cluster, tmp_path_factory):
  """By engine; each has a run root of its own, and both read the same images."""
  root = tmp_path_factory.mktemp('roots')
  return {
    'local': (f'run.root={root / "local"}', f'data.lock={root / "local.csv"}'),
    'portable': (f'run.root={root / "portable"}', f'data.lock={root / "portable.csv"}', *cluster),
  }


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
  made = Experiment(tmp_path_factory.mktemp('experiment'))
  write_csv(made.data, write_images(made.data, IMAGES))
  return made


@pytest.fixture(scope='module')
def runs(experiment, overrides):
  """Returns the run root of each engine, with artifacts up to Transform."""
  for engine in ENGINES:
    script(_DATA_STEPS, experiment.config, *overrides[engine])
  return {engine: load_config(experiment.config, overrides[engine]).run.root for engine in ENGINES}


def artifact(root: pathlib.Path, name: str) -> pathlib.Path:
  (found,) = (root / 'artifacts').glob(f'{name}/*')
  return found


def records(root: pathlib.Path, split: str) -> collections.Counter:
  import tensorflow as tf

  paths = artifact(root, 'ImageExampleGen/examples').glob(f'Split-{split}/*')
  return collections.Counter(tf.data.TFRecordDataset(sorted(map(str, paths))).as_numpy_iterator())


def test_each_split_holds_the_same_records(runs):
  counts = []
  for split in ('train', 'val', 'test'):
    local, portable = (records(runs[engine], split) for engine in ENGINES)
    assert local == portable
    counts.append(local.total())
  assert sum(counts) == IMAGES and min(counts) > 0


def test_manifest_and_split_lock_are_the_same(runs, experiment, overrides):
  local, portable = (
    pq.read_table(artifact(runs[engine], 'ImageExampleGen/dataset') / 'manifest.parquet')
    for engine in ENGINES
  )
  assert local.num_rows == IMAGES and local.equals(portable)
  locks = [
    load_config(experiment.config, overrides[engine]).data.lock.read_bytes() for engine in ENGINES
  ]
  assert locks[0] == locks[1] and locks[0].count(b'\n') == IMAGES + 1


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_the_statistics_are_the_same(runs, split):
  import tensorflow_data_validation as tfdv

  local, portable = (
    tfdv.load_stats_binary(
      str(artifact(runs[engine], 'StatisticsGen/statistics') / f'Split-{split}/FeatureStats.pb')
    )
    for engine in ENGINES
  )
  (found,) = local.datasets
  assert found.num_examples > 0 and len(found.features) > 5
  assert portable == local


def test_the_transform_graph_has_the_same_constants_and_vocabulary(runs):
  import tensorflow as tf
  import tensorflow_transform as tft

  found = []
  for engine in ENGINES:
    output = tft.TFTransformOutput(str(artifact(runs[engine], 'Transform/transform_graph')))
    some = next(iter(records(runs['local'], 'val')))
    layer = output.transform_features_layer()
    after = layer(tf.io.parse_example([some], output.raw_feature_spec()))
    found.append(
      {
        'labels': [label.decode() for label in output.vocabulary_by_name('label')],
        **{key: after[key].numpy() for key in ('pixel_mean', 'pixel_variance', 'label_id')},
      }
    )
  local, portable = found
  assert local['labels'] == portable['labels'] and sorted(local['labels']) == [
    'blue',
    'green',
    'red',
  ]
  for key in ('pixel_mean', 'pixel_variance'):
    # Sums of float32 in another order.
    np.testing.assert_allclose(portable[key], local[key], rtol=1e-6)
    assert np.ptp(local[key]) > 0
  np.testing.assert_array_equal(portable['label_id'], local['label_id'])


def test_schema_anomalies_and_gate_agree(runs):
  for name, pattern in (
    ('SchemaGen/schema', 'schema.pbtxt'),
    ('ExampleValidator/anomalies', '*/SchemaDiff.pb'),
  ):
    local, portable = (
      [path.read_bytes() for path in sorted(artifact(runs[engine], name).glob(pattern))]
      for engine in ENGINES
    )
    assert local and local == portable


@pytest.fixture(scope='module')
def evaluated(experiment, runs, overrides, tmp_path_factory):
  from tests.unit.serving import exports

  folder = tmp_path_factory.mktemp('evaluated')
  exports.write_image_model(folder / 'model/Format-Serving', seed=1)
  for engine in ENGINES:
    # Of the same records, which is what the tests above say.
    script(
      _EVALUATION,
      experiment.config,
      runs['local'],
      folder / 'model',
      folder / engine,
      *overrides[engine],
    )
  return folder


def test_the_evaluation_says_the_same(evaluated):
  import tensorflow_model_analysis as tfma

  verdicts, metrics = [], []
  for engine in ENGINES:
    folder = evaluated / engine / 'evaluation'
    verdicts.append(json.loads((folder / 'verdict.json').read_text(encoding='utf-8')))
    loaded = tfma.load_eval_result(str(folder), model_name='')
    metrics.append({str(key): value for key, value in loaded.slicing_metrics})
  assert verdicts[0] == verdicts[1] and verdicts[0]['candidate']['accuracy']['n'] > 20
  assert metrics[0].keys() == metrics[1].keys() and len(metrics[0]) > 10
  for key, of_slice in metrics[0].items():
    assert flat(metrics[1][key]) == pytest.approx(flat(of_slice), rel=1e-6, nan_ok=True), key
  blessings = [
    [path.name for path in (evaluated / engine / 'blessing').iterdir()] for engine in ENGINES
  ]
  assert blessings[0] == blessings[1] != []


def flat(tree, name=''):
  """Returns the numbers of a tree of dictionaries and lists by their paths."""
  if isinstance(tree, dict):
    return {key: v for k, part in tree.items() for key, v in flat(part, f'{name}/{k}').items()}
  if isinstance(tree, list):
    return {key: v for k, part in enumerate(tree) for key, v in flat(part, f'{name}/{k}').items()}
  return {name: float(tree)}


def test_doctor_asks_the_engine(experiment, overrides):
  arguments = [word for override in overrides['portable'] for word in ('--set', override)]
  done = sightline('doctor', experiment.config, *arguments, cwd=experiment.folder)
  assert re.search(r'ok\W+Beam engine\W+portable: a worker', done.output), done.output


def test_a_pool_that_dies_in_the_middle_ends_the_run(experiment, tmp_path):
  """Beam's client would wait for ever."""
  with local_cluster() as (process, found):
    overrides = (f'run.root={tmp_path / "runs"}', f'data.lock={tmp_path / "lock.csv"}', *found)
    arguments = [word for override in overrides for word in ('--set', override)]
    run = subprocess.Popen(
      [sys.executable, '-m', 'pipeline', 'run', experiment.config, *arguments],
      cwd=experiment.folder,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    (pool,) = [
      one
      for one in psutil.Process(process.pid).children()
      if any('worker_pool_main' in word for word in one.cmdline())
    ]
    # The check before the run had a worker of its own; the next one is that of a step.
    deadline = time.monotonic() + 300
    while not (tmp_path / 'runs/artifacts').is_dir() and time.monotonic() < deadline:
      time.sleep(0.1)
    earlier = {one.pid for one in pool.children()}
    while {one.pid for one in pool.children()} <= earlier and time.monotonic() < deadline:
      time.sleep(0.1)
    # It has connected, and loads what the step needs.
    time.sleep(4)
    # It would end the job service, too.
    process.send_signal(signal.SIGSTOP)
    for one in (*pool.children(recursive=True), pool):
      one.kill()
    said, _ = run.communicate(timeout=240)
    process.send_signal(signal.SIGCONT)
  assert run.returncode == 1, said
  text = ' '.join(said.split())
  assert 'ImageExampleGen: expected a Beam worker pool at localhost:' in text, said
  assert 'Received: nothing for 30 s' in text and 'comes from the cache' in text


def test_a_pool_whose_python_lacks_beam_ends_with_an_error(experiment, overrides, tmp_path):
  """Without the check this call would wait for ever."""
  (tmp_path / 'bin').mkdir()
  python = tmp_path / 'bin/python'
  python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
  python.chmod(0o755)
  with socket.socket() as probe:
    probe.bind(('', 0))
    port = probe.getsockname()[1]
  pool = subprocess.Popen(
    [sys.executable, '-m', 'apache_beam.runners.worker.worker_pool_main', f'--service_port={port}'],
    env=os.environ | {'PATH': f'{python.parent}:{os.environ["PATH"]}'},
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    for _ in range(300):
      with socket.socket() as probe:
        if probe.connect_ex(('localhost', port)) == 0:
          break
      time.sleep(0.2)
    wrong = (
      *overrides['portable'],
      f'beam.portable.worker_pool=localhost:{port}',
      'beam.portable.check_seconds=30',
    )
    arguments = [word for override in wrong for word in ('--set', override)]
    done = sightline('run', experiment.config, *arguments, cwd=experiment.folder)
  finally:
    pool.terminate()
    _, said = pool.communicate(timeout=60)
  assert done.code == 1
  assert 'expected a worker within 30 s' in done.output and 'has no apache_beam' in done.output
  assert "No module named 'apache_beam'" in said
