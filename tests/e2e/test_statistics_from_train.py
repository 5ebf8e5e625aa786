"""Normalisation statistics come from train alone."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.e2e.experiment import Experiment, write_csv, write_images

pytestmark = pytest.mark.slow

# Runs the pipeline up to Transform and prints the constants of its graph.
_CONSTANTS = """
import json, sys, pathlib
from pipeline import runner
from schemas.loader import load_config
config = load_config(sys.argv[1], ["data.production=true"])
compiled = runner.compile_pipeline(config)
wanted = [node for node in compiled.nodes if node.pipeline_node.node_info.id in (
    "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", "Transform")]
del compiled.nodes[:]
compiled.nodes.extend(wanted)
class Quiet:
  def planned(self, components): pass
  def started(self, component): pass
  def finished(self, component, outcome, seconds): pass
with runner.open_run(config) as run:
  runner.execute(lambda: compiled, run, Quiet())
  folder, = pathlib.Path(config.run.root).glob("artifacts/Transform/transform_graph/*")
  import tensorflow as tf, tensorflow_transform as tft
  from schemas import features
  output = tft.TFTransformOutput(str(folder))
  layer = output.transform_features_layer()
  records = sorted(pathlib.Path(config.run.root).glob(
      "artifacts/ImageExampleGen/examples/*/Split-train/*"))
  raw = tf.io.parse_example(
      next(iter(tf.data.TFRecordDataset([str(r) for r in records]).batch(1))),
      output.raw_feature_spec())
  out = layer(raw)
  result = {key: out[key][0].numpy().tolist() for key in ("pixel_mean", "pixel_variance")}
  result["labels"] = [l.decode() for l in output.vocabulary_by_name("label")]
  open(sys.argv[2], "w").write(json.dumps(result))
"""


def constants(experiment: Experiment) -> dict:
  out = experiment.folder / 'constants.json'
  done = subprocess.run(
    [sys.executable, '-c', _CONSTANTS, experiment.config, out],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(out.read_text())


def with_split(rows: list[dict]) -> list[dict]:
  return [
    {**row, 'split': ('train', 'train', 'val', 'test', 'production')[number // 3 % 5]}
    for number, row in enumerate(rows)
  ]


def test_tripling_every_pixel_outside_train_leaves_the_constants_unchanged(tmp_path):
  plain, tripled = (Experiment(tmp_path / name) for name in ('plain', 'tripled'))
  for experiment in (plain, tripled):
    rows = with_split(write_images(experiment.data, count=60))
    write_csv(experiment.data, rows)
  train = []
  for row in csv.DictReader(open(tripled.data / 'labels.csv')):
    path = tripled.data / 'images' / row['filename']
    if row['split'] == 'train':
      train.append(path)
      continue
    pixels = np.asarray(Image.open(path)).astype(int) * 3
    Image.fromarray(np.minimum(pixels, 255).astype(np.uint8)).save(path, quality=95)
    assert _mean(path).mean() > 1.2 * _mean(plain.data / 'images' / row['filename']).mean()
  before, after = constants(plain), constants(tripled)
  assert before == after
  # And they are what the definition says, to what another decoder and resize allow.
  mean = np.mean([_mean(path) for path in train], axis=0)
  np.testing.assert_allclose(before['pixel_mean'], mean, atol=0.01)


def _mean(path: pathlib.Path) -> np.ndarray:
  return np.asarray(Image.open(path).convert('RGB'), float).mean(axis=(0, 1)) / 255
