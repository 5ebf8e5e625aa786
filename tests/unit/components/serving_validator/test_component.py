"""ServingValidator in real pipeline runs."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.orchestration.local import local_dag_runner
from tfx.types import standard_artifacts

import components
from components.serving_validator import gates
from components.serving_validator.component import ServingValidator
from schemas.config import ServingValidatorConfig
from schemas.weights_hash import weights_sha256
from serving.servable import Servable
from tests.unit.serving import exports

IMAGES = {f'id-{seed}': seed for seed in range(11)}
GENEROUS = ServingValidatorConfig(p95_ms=60_000, disk_mb=100, rss_mb=20_000)


def write_predictions(folder, model_artifact, shift=0.0):
  """As Evaluator would: the candidate's answers, in another order than the records."""
  servable = Servable(model_artifact / 'Format-Serving')
  names = sorted(IMAGES, reverse=True)
  images = [
    exports.encoded(IMAGES[name], ('PNG', 'JPEG', 'BMP')[IMAGES[name] % 3], 20 + IMAGES[name])
    for name in names
  ]
  rows = servable.run('serving_default', {'image_bytes': np.array(images, object)})
  servable.close()
  folder.mkdir(exist_ok=True)
  pq.write_table(
    pa.table(
      {
        'image_id': names,
        'label': ['red'] * len(names),
        'label_id': pa.array([2] * len(names), pa.int64()),
        'candidate': pa.array(
          [row + np.float32(shift) for row in rows['probabilities']], pa.list_(pa.float32())
        ),
        'baseline': pa.array([None] * len(names), pa.list_(pa.float32())),
      }
    ),
    folder / 'predictions.parquet',
  )
  return folder


class Runs:
  def __init__(self, root, model, examples):
    self.root, self.model, self.examples = root, model, examples
    self.connection = metadata.sqlite_metadata_connection_config(str(root / 'metadata.sqlite'))

  def pipeline(self, predictions, config, model=None, in_service=None):
    imported = [
      Importer(str(model or self.model), standard_artifacts.Model).with_id('Model'),
      Importer(
        str(self.examples),
        standard_artifacts.Examples,
        properties={'split_names': '["train", "test"]'},
      ).with_id('Examples'),
      Importer(str(predictions), components.Predictions).with_id('Predictions'),
    ]
    model, examples, predictions = (node.outputs['result'] for node in imported)
    baseline = {}
    if in_service:
      record = Importer(in_service, standard_artifacts.InfraBlessing).with_id('InService')
      imported.append(record)
      # As a new version of the same weights.
      baseline = {'baseline_model': model, 'baseline_blessing': record.outputs['result']}
    validator = ServingValidator(model, examples, predictions, config, 'fingerprint', **baseline)
    return pipeline.Pipeline(
      'validate',
      str(self.root / 'artifacts'),
      components=[*imported, validator],
      metadata_connection_config=self.connection,
      enable_cache=True,
    )

  def run(self, predictions, config=GENEROUS, model=None, in_service=None):
    """Returns whether the result came from the cache, and the blessing."""
    local_dag_runner.LocalDagRunner().run(self.pipeline(predictions, config, model, in_service))
    with metadata.Metadata(self.connection) as handle:
      last = max(
        handle.store.get_executions_by_type(
          'components.serving_validator.component.ServingValidator'
        ),
        key=lambda run: run.id,
      )
      (event,) = [
        event
        for event in handle.store.get_events_by_execution_ids([last.id])
        if event.type == metadata_store_pb2.Event.OUTPUT
      ]
      (artifact,) = handle.store.get_artifacts_by_id([event.artifact_id])
      self.models = handle.store.get_artifacts_by_type('Model')
    return last.last_known_state == metadata_store_pb2.Execution.CACHED, artifact


@pytest.fixture
def runs(tmp_path, model_artifact, examples_artifact):
  return Runs(tmp_path, model_artifact, examples_artifact)


@pytest.fixture
def predictions(tmp_path, model_artifact):
  return write_predictions(tmp_path / 'predictions', model_artifact)


def failed(blessing):
  report = json.loads(pathlib.Path(blessing.uri, 'gates.json').read_text())
  return [gate['gate'] for gate in report['gates'] if not gate['ok']]


def test_a_good_export_is_blessed_and_one_that_answers_otherwise_is_not(
  runs, predictions, tmp_path
):
  cached, blessing = runs.run(predictions)
  assert not cached and failed(blessing) == []
  values = blessing.custom_properties
  assert values['blessed'].int_value == 1
  assert values['current_model_id'].int_value == runs.models[0].id
  digest = weights_sha256(runs.model / 'Format-Serving')
  assert values['weights_sha256'].string_value == digest
  assert {path.name for path in pathlib.Path(blessing.uri).iterdir()} == {
    'INFRA_BLESSED',
    'gates.json',
  }

  cached, same = runs.run(predictions)
  assert cached and same.id == blessing.id

  # The candidate's answers are others: this is no longer the model that was evaluated.
  other = write_predictions(tmp_path / 'other', runs.model, shift=0.001)
  cached, refused = runs.run(other, in_service=blessing.uri)
  assert not cached and failed(refused) == ['max_difference']
  # Beside each other it is no other: disk to the byte, and times of one run.
  report = gates.read(refused.uri)
  assert report.comparison.how == 'side by side' and report.comparison.rounds == 200
  assert report.comparison.baseline['weights_sha256'] == digest
  assert report.comparison.baseline['machine'] == report.machine
  (disk,) = [row for row in report.comparison.rows if row.name == 'disk']
  assert disk.ratio == 1.0 and disk.outcome == 'about the same'
  assert report.stages['rounds'] == 200 and report.comparison.remarks == ()
  # The first had nothing to be compared with.
  assert gates.read(blessing.uri).comparison is None
  assert refused.custom_properties['blessed'].int_value == 0
  assert pathlib.Path(refused.uri, 'INFRA_NOT_BLESSED').exists()
  assert not pathlib.Path(refused.uri, 'INFRA_BLESSED').exists()


def test_limits_that_nothing_meets_are_named(runs, predictions):
  limits = {'p95_ms': 1e-6, 'disk_mb': 1e-6, 'rss_mb': 1e-6}
  _, blessing = runs.run(predictions, GENEROUS.model_copy(update=limits))
  assert sorted(failed(blessing)) == sorted(limits)
  assert blessing.custom_properties['blessed'].int_value == 0


def test_an_export_that_cannot_be_served_ends_the_blessing_and_not_the_run(
  runs, predictions, tmp_path
):
  exports.write_unservable_model(tmp_path / 'bad/Format-Serving')
  _, blessing = runs.run(predictions, model=tmp_path / 'bad')
  assert failed(blessing) == ['loads']
  text = pathlib.Path(blessing.uri, 'gates.json').read_text()
  assert 'Could not find variable' in text and 'ExportArchive' in text


def test_it_compiles_for_kubeflow(runs, predictions, tmp_path):
  kubeflow_v2_dag_runner.KubeflowV2DagRunner(
    config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image='sightline'),
    output_dir=str(tmp_path),
    output_filename='pipeline.yaml',
  ).run(runs.pipeline(predictions, GENEROUS))
  written = (tmp_path / 'pipeline.yaml').read_text()
  assert 'components.serving_validator.executor.Executor' in written
