"""The split production behind TFX's own Evaluator, on real records and a real export."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.channel import Channel
from tfx.utils import json_utils, proto_utils

from components.production_evaluator import component, executor, score
from components.resolvers.strategies import LatestServedModelStrategy
from pipeline import evaluation
from schemas import features
from schemas.config import Config
from tests.unit.serving import exports

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
EVALUATION = standard_component_specs.EVALUATION_KEY


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  folder = tmp_path_factory.mktemp('model')
  exports.write_image_model(folder / 'Format-Serving', seed=1)
  artifact = standard_artifacts.Model()
  artifact.uri = str(folder)
  artifact.id = 7
  return artifact


@pytest.fixture
def scored(model, tmp_path):
  """Returns scored(labels): what the executor left for images of these labels."""

  def scored(labels):
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / 'examples')
    examples.split_names = json.dumps([*features.SPLITS, features.PRODUCTION])
    folder = tmp_path / 'examples' / 'Split-production'
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / 'data_tfrecord-00000-of-00001')) as writer:
      for seed, label in enumerate(labels):
        image = exports.encoded(seed, width=20 + seed)
        writer.write(exports.example(image, f'id-{seed}', label, leak='no'))
    output = standard_artifacts.ModelEvaluation()
    output.uri = str(tmp_path / 'evaluation')
    context = executor.Executor.Context(
      beam_pipeline_args=[FN_API], tmp_dir=str(tmp_path / 'tmp'), unique_id='1'
    )
    config = evaluation.scoring_config(Config(name='x'))
    for spec in list(config.slicing_specs):
      if features.BRIGHTNESS_BUCKET in spec.feature_keys:
        config.slicing_specs.remove(spec)
    executor.Executor(context).Do(
      {'examples': [examples], 'model': [model]},
      {EVALUATION: [output]},
      {
        standard_component_specs.EVAL_CONFIG_KEY: proto_utils.proto_to_json(config),
        standard_component_specs.EXAMPLE_SPLITS_KEY: json_utils.dumps([features.PRODUCTION]),
      },
    )
    return output, json.loads((tmp_path / 'evaluation' / score.FILE).read_text())

  return scored


def _says(seed):
  picture = exports.picture(seed, 20 + seed)
  return exports.LABELS[int(np.argmax(exports.expected_probabilities(1, picture)))]


def test_an_unknown_label_counts_as_wrong_and_is_named(scored, tmp_path):
  # Six right, then two whose label the model does not know.
  labels = [_says(seed) for seed in range(6)] + ['newt', 'newt']
  output, found = scored(labels)
  assert found['accuracy']['value'] == pytest.approx(6 / 8)
  assert found['accuracy']['n'] == 8
  assert found['unknown_labels'] == {'newt': 2}
  rows = pq.read_table(tmp_path / 'evaluation' / 'predictions.parquet').to_pylist()
  assert [row['label_id'] for row in rows[-2:]] == [-1, -1]
  slices = {(row['key'], row['value']): row['accuracy'] for row in found['slices']}
  assert slices['label', 'newt'] == {
    'value': 0.0,
    'n': 2,
    'interval': pytest.approx([0, 0.658], abs=1e-3),
  }
  assert slices['label', labels[0]]['value'] == 1.0
  assert not output.has_custom_property('blessed')


def test_no_image_at_all_is_no_figure_and_no_error(scored):
  _, found = scored([])
  assert found['accuracy'] == {'value': None, 'n': 0, 'interval': [0.0, 1.0]}
  assert found['slices'] == []


def test_it_has_no_output_that_a_resolver_takes_for_a_verdict(model):
  node = component.ProductionEvaluator(
    examples=Channel(type=standard_artifacts.Examples),
    model=Channel(type=standard_artifacts.Model),
    eval_config=evaluation.scoring_config(Config(name='x')),
    code_fingerprint='code',
  )
  assert node.id == 'ProductionEvaluator'
  assert {key: channel.type for key, channel in node.outputs.items()} == {
    EVALUATION: standard_artifacts.ModelEvaluation
  }
  infra = standard_artifacts.InfraBlessing()
  infra.set_int_custom_property('current_model_id', model.id)
  infra.set_int_custom_property('blessed', 1)
  found = LatestServedModelStrategy().resolve_artifacts(
    None, {'model': [model], 'model_blessing': [], 'infra_blessing': [infra]}
  )
  assert found['model'] == []


def test_nothing_is_asked_for():
  config = evaluation.scoring_config(Config(name='x'))
  assert not [
    metric
    for specs in config.metrics_specs
    for metric in specs.metrics
    if metric.per_slice_thresholds or metric.HasField('threshold')
  ]
