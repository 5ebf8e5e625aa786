"""TFMA over stored predictions gives what the predictions give."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma

from components.evaluator import sliced_metrics, verdict
from pipeline import evaluation
from schemas.config import Config

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
TRUTH = [0, 0, 1, 1, 2, 2]
# The candidate has the last two wrong, the model in service the first.
SAYS, OTHER = [0, 0, 1, 1, 0, 1], [1, 0, 1, 1, 2, 2]
SITES = ['north', 'north', 'north', 'south', 'south', '']


@pytest.fixture(scope='module')
def results(tmp_path_factory):
  import apache_beam as beam

  folder = tmp_path_factory.mktemp('evaluation')
  table = pa.table(
    {
      'label_id': TRUTH,
      'candidate': [row.tolist() for row in np.eye(3, dtype=np.float32)[SAYS]],
      'baseline': [row.tolist() for row in np.eye(3, dtype=np.float32)[OTHER]],
    }
  )
  config = evaluation.eval_config(Config(name='x', evaluate={'min_accuracy': 0.7}))
  sliced_metrics.measure(
    table,
    {'label': ['a', 'a', 'b', 'b', 'c', 'c'], 'column/site': SITES},
    sliced_metrics.model_specs(_only(config, 'label', 'column/site'), True),
    folder,
    lambda: beam.Pipeline(argv=[FN_API]),
  )
  return folder


def _only(config, *keys):
  del config.slicing_specs[:]
  config.slicing_specs.add()
  for key in keys:
    config.slicing_specs.add().feature_keys.append(key)
  return config


def test_tfmas_own_functions_load_accuracy_and_slices_of_both_models(results):
  for name, says in (('candidate', SAYS), ('baseline', OTHER)):
    loaded = tfma.load_eval_result(str(results), model_name=name)
    figures = {key: found[''][''] for key, found in loaded.slicing_metrics}
    right = np.equal(says, TRUTH)
    accuracy = figures[()]['sparse_categorical_accuracy']['doubleValue']
    assert accuracy == pytest.approx(right.mean())
    for site in ('north', 'south'):
      inside = np.array(SITES) == site
      found = figures[(('column/site', site),)]
      assert found['sparse_categorical_accuracy']['doubleValue'] == pytest.approx(
        right[inside].mean()
      )
      assert found['example_count']['doubleValue'] == inside.sum()


def test_an_image_without_a_value_is_in_no_slice(results):
  found = {(row['key'], row['value']) for row in verdict.slices(results, with_baseline=True)}
  assert found == {
    ('label', 'a'), ('label', 'b'), ('label', 'c'), ('column/site', 'north'),
    ('column/site', 'south'),
  }  # fmt: skip


def test_the_bar_binds_all_images_and_no_slice(results):
  # 4 of 6 are right, and 0.7 is asked for; of label a all are.
  found = tfma.load_validation_result(str(results))
  assert not found.validation_ok
  (failed,) = found.metric_validations_per_slice
  assert not failed.slice_key.single_slice_keys
