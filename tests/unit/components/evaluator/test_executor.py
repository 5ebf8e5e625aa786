"""The Evaluator's executor on real records and real exports."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.components.evaluator import executor as evaluator_executor
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
  LatestBlessedModelStrategy,
)
from tfx.types import standard_artifacts
from tfx.utils import json_utils, proto_utils

import components
from components.evaluator import executor, predictions
from pipeline import evaluation
from schemas.config import Config
from tests.unit.serving import exports

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
COUNT = 12


def _says(seed: int, picture: int) -> str:
  answer = exports.expected_probabilities(seed, exports.picture(picture, 20 + picture))
  return exports.LABELS[int(np.argmax(answer))]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  """Examples and dataset; on all images but two the labels are what model 1 says."""
  folder = tmp_path_factory.mktemp('data')
  split = folder / 'examples' / 'Split-test'
  split.mkdir(parents=True)
  rows = []
  with tf.io.TFRecordWriter(str(split / 'data_tfrecord-00000-of-00001')) as writer:
    for number in range(COUNT):
      says = _says(1, number)
      others = [label for label in exports.LABELS if label != says]
      label = says if number >= 2 else others[0]
      image = exports.encoded(number, width=20 + number)
      writer.write(exports.example(image, f'id-{number}', label, leak='no'))
      rows.append({'image_id': f'id-{number}', 'label': label, 'cluster': '', 'split': 'test'})
  (folder / 'dataset').mkdir()
  for row in rows:
    row |= {'contrast': 0.2, 'sharpness': 1.0, 'aspect': 1.5, 'column/site': row['image_id'][-1]}
    row |= {'bucket/brightness': 'medium', 'bucket/size': 'tiny'}
  pq.write_table(pa.Table.from_pylist(rows), folder / 'dataset' / 'manifest.parquet')
  return folder


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  made = []
  for seed in (1, 2):
    folder = tmp_path_factory.mktemp(f'model-{seed}')
    exports.write_image_model(folder / 'Format-Serving', seed=seed)
    made.append(_artifact(standard_artifacts.Model, folder, 10 + seed))
  return made


def _artifact(kind, uri, number=0):
  made = kind()
  made.uri, made.id = str(uri), number
  return made


@pytest.fixture
def judge(data, models, tmp_path, monkeypatch):
  """Returns judge(with_baseline, **evaluate): outputs, verdict, and how often a model was asked."""
  asked = []
  ask = predictions._ask
  monkeypatch.setattr(predictions, '_ask', lambda *given: asked.append(1) or ask(*given))

  def judge(with_baseline=False, baseline_uri=None, **evaluate):
    asked.clear()
    config = Config.model_validate(
      {'name': 'x', 'evaluate': {'min_accuracy': 0.5, 'max_accuracy_drop': 1.0, **evaluate}}
    )
    examples = _artifact(standard_artifacts.Examples, data / 'examples')
    examples.split_names = json.dumps(['test'])
    inputs = {
      'examples': [examples],
      'model': [models[0]],
      'dataset': [_artifact(components.Dataset, data / 'dataset')],
    }
    if with_baseline:
      inputs['baseline_model'] = [models[1]]
    folder = tmp_path / f'run-{len(list(tmp_path.iterdir()))}'
    outputs = {
      'evaluation': [_artifact(standard_artifacts.ModelEvaluation, folder / 'evaluation')],
      'blessing': [_artifact(standard_artifacts.ModelBlessing, folder / 'blessing', 31)],
      'predictions': [_artifact(components.Predictions, folder / 'predictions')],
    }
    for (artifact,) in outputs.values():
      (folder / artifact.uri.rsplit('/', 1)[1]).mkdir(parents=True)
    context = executor.Executor.Context(
      beam_pipeline_args=[FN_API], tmp_dir=str(tmp_path / 'tmp'), unique_id='1'
    )
    executor.Executor(context).Do(
      inputs,
      outputs,
      {
        'eval_config': proto_utils.proto_to_json(evaluation.eval_config(config)),
        'example_splits': json_utils.dumps(['test']),
        'asked': json.dumps(dataclasses.asdict(evaluation.asked(config))),
        'state_dir': str(tmp_path / 'state'),
        **({'baseline_uri': str(baseline_uri)} if baseline_uri else {}),
        'code_fingerprint': 'code',
      },
    )
    verdict = json.loads((folder / 'evaluation' / 'verdict.json').read_text(encoding='utf-8'))
    return outputs, verdict, len(asked)

  return judge


def test_a_blessing_is_one_that_the_resolver_of_tfx_finds(judge, models):
  outputs, verdict, _ = judge()
  assert verdict['candidate']['accuracy']['value'] == pytest.approx(10 / 12)
  assert verdict['blessed'], verdict['reasons']
  found = LatestBlessedModelStrategy().resolve_artifacts(
    None, {'model': list(models), 'model_blessing': outputs['blessing']}
  )
  assert [model.id for model in found['model']] == [models[0].id]
  # A refusal of ours is one of TFX's, too, though its accuracy passes.
  outputs, verdict, _ = judge(min_macro_f1=1.0)
  assert not verdict['blessed']
  found = LatestBlessedModelStrategy().resolve_artifacts(
    None, {'model': list(models), 'model_blessing': outputs['blessing']}
  )
  assert not found.get('model')


def test_each_model_is_asked_once_and_about_one_test_set_never_again(judge):
  outputs, verdict, asked = judge(with_baseline=True)
  assert asked == 2
  assert verdict['comparison']['n'] == COUNT and verdict['baseline_model_id'] == 12
  (predicted,) = outputs['predictions']
  assert predicted.get_int_custom_property('from_record') == 0
  rows = pq.read_table(f'{predicted.uri}/predictions.parquet').to_pylist()
  for number, row in enumerate(rows):
    expected = exports.expected_probabilities(2, exports.picture(number, 20 + number))
    np.testing.assert_allclose(row['baseline'], expected, atol=1e-5)
  again, second, asked = judge(with_baseline=True, min_accuracy=0.95)
  assert asked == 0
  assert not second['blessed'] and second['candidate'] == verdict['candidate']
  assert again['predictions'][0].get_int_custom_property('from_record') == 1
  tests = {
    one['predictions'][0].get_string_custom_property('test_sha256') for one in (outputs, again)
  }
  assert len(tests) == 1 and '' not in tests


def test_a_named_person_can_set_a_gate_aside_and_stands_in_the_verdict(judge):
  entry = {
    'gate': 'accuracy',
    'who': 'A. Person',
    'reason': 'a pilot of one week',
    'when': '2026-01-31',
  }
  _, verdict, _ = judge(min_accuracy=0.95, overrides=[entry])
  assert verdict['blessed']
  (override,) = verdict['overrides']
  assert override['overruled'] == [
    'accuracy on all images is 0.8333; at least 0.9500 is asked for (evaluate.min_accuracy).'
  ]
  assert any('A. Person set the gate accuracy aside' in reason for reason in verdict['reasons'])


@pytest.mark.parametrize('published', [True, False])
def test_a_baseline_that_is_named_by_its_folder_is_one_that_is_an_artifact(
  judge, models, published
):
  artifact, expected, _ = judge(with_baseline=True)
  folder = f'{models[1].uri}/Format-Serving' if published else models[1].uri
  named, verdict, _ = judge(baseline_uri=folder)
  assert verdict['comparison'] == expected['comparison']
  (blessing,) = named['blessing']
  assert blessing.get_string_custom_property('baseline_model') == folder
  # No store knows it by a number.
  assert not blessing.has_custom_property('baseline_model_id')
  assert artifact['blessing'][0].get_int_custom_property('baseline_model_id') == 12


def test_kubeflows_entry_takes_it_for_the_evaluator_of_tfx():
  # It writes the ids of a blessing as Vertex AI's store knows them for no other class.
  assert issubclass(executor.Executor, evaluator_executor.Executor)
