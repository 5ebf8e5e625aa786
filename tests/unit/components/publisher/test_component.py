"""Publisher in real pipeline runs: blessings, the cache, a version that went missing."""

import pathlib
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.orchestration.local import local_dag_runner
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts

from components.publisher.component import Publisher
from schemas.errors import ServingError
from schemas.weights_hash import weights_sha256
from tests.unit.components.publisher import object_store


@pytest.fixture
def model(tmp_path):
  export = tmp_path / 'model/Format-Serving'
  (export / 'variables').mkdir(parents=True)
  (export / 'saved_model.pb').write_bytes(b'graph')
  (export / 'variables/variables.index').write_bytes(b'weights')
  return tmp_path / 'model'


class Runs:
  """Runs one pipeline again and again on one metadata store."""

  def __init__(self, root: pathlib.Path, model: pathlib.Path):
    self.root, self.model = root, model
    self.base = root / 'serving/digits'
    (root / 'blessing').mkdir()
    (root / 'infra').mkdir()
    self.connection = metadata.sqlite_metadata_connection_config(str(root / 'metadata.sqlite'))

  def pipeline(self, blessed=1, infra_blessed=1, blessing='blessing', base=None, bucket=None):
    def importer(name, artifact, folder, **properties):
      return Importer(str(folder), artifact, custom_properties=properties).with_id(name)

    (self.root / blessing).mkdir(exist_ok=True)
    model = importer('Model', standard_artifacts.Model, self.model)
    verdict = importer(
      'Verdict', standard_artifacts.ModelBlessing, self.root / blessing, blessed=blessed
    )
    infra = importer(
      'Infra', standard_artifacts.InfraBlessing, self.root / 'infra', blessed=infra_blessed
    )
    publisher = Publisher(
      model=model.outputs['result'],
      model_blessing=verdict.outputs['result'],
      infra_blessing=infra.outputs['result'],
      push_destination=pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(base or self.base))
      ),
      custom_config={'bucket': bucket} if bucket else None,
    )
    return pipeline.Pipeline(
      'publish',
      str(self.root / 'artifacts'),
      components=[model, verdict, infra, publisher],
      metadata_connection_config=self.connection,
      enable_cache=True,
    )

  def run(self, **options):
    """Returns whether the result came from the cache, and the PushedModel."""
    local_dag_runner.LocalDagRunner().run(self.pipeline(**options))
    with metadata.Metadata(self.connection) as handle:
      executions = handle.store.get_executions_by_type('components.publisher.component.Publisher')
      last = max(executions, key=lambda execution: execution.id)
      (event,) = [
        event
        for event in handle.store.get_events_by_execution_ids([last.id])
        if event.type == metadata_store_pb2.Event.OUTPUT
      ]
      (artifact,) = handle.store.get_artifacts_by_id([event.artifact_id])
    cached = last.last_known_state == metadata_store_pb2.Execution.CACHED
    return cached, artifact

  def versions(self):
    if not self.base.exists():
      return []
    return sorted(path.name for path in self.base.iterdir() if path.name.isdigit())


@pytest.fixture
def runs(tmp_path, model):
  return Runs(tmp_path, model)


def test_a_bucket_gets_the_version_too_and_again_if_it_goes_missing(runs, tmp_path):
  address = 'gs://shop/serving/digits'
  with object_store.mounted(tmp_path / 'buckets') as store:
    cached, first = runs.run(bucket=address)
    (version,) = runs.versions()
    assert not cached and first.custom_properties['new'].int_value == 1
    assert first.custom_properties['pushed_to_bucket'].string_value == f'{address}/{version}'
    assert (store.at(address) / version / 'saved_model.pb').read_bytes() == b'graph'
    cached, second = runs.run(bucket=address)
    assert not cached and second.custom_properties['new'].int_value == 0
    cached, _ = runs.run(bucket=address)
    assert cached

    store.at(f'{address}.config').unlink()
    cached, again = runs.run(bucket=address)
    assert not cached and runs.versions() == [version]
    assert again.custom_properties['new'].int_value == 1
    assert version in store.at(f'{address}.config').read_text()


def test_below_a_mounted_bucket_a_version_that_no_file_names_is_not_published(
  runs, tmp_path, monkeypatch
):
  monkeypatch.setattr('schemas.storage.MOUNTS', {'gs://': str(tmp_path / 'gcs').lstrip('/')})
  base = tmp_path / 'gcs/shop/digits'
  for _ in range(2):
    runs.run(base=base)
  cached, _ = runs.run(base=base)
  assert cached
  told = base.with_name('digits.config')
  for _ in range(2):  # The second loss is in the same state as the first.
    told.unlink()
    cached, again = runs.run(base=base)
    assert not cached
    assert again.custom_properties['pushed_version'].string_value in told.read_text()
    runs.run(base=base)


def test_publish_cache_restore(runs):
  cached, first = runs.run()
  (version,) = runs.versions()
  assert not cached
  values = first.custom_properties
  assert values['pushed'].int_value == values['new'].int_value == 1
  assert values['pushed_version'].string_value == version
  assert values['pushed_destination'].string_value == str(runs.base / version)
  assert values['weights_sha256'].string_value == weights_sha256(runs.model / 'Format-Serving')
  assert (pathlib.Path(first.uri) / 'saved_model.pb').read_bytes() == b'graph'

  # The second run of a real pipeline brings another verdict, by Evaluator.
  cached, second = runs.run(blessing='second')
  assert not cached and runs.versions() == [version]
  assert second.custom_properties['pushed'].int_value == 1
  assert second.custom_properties['new'].int_value == 0
  assert second.custom_properties['pushed_version'].string_value == version
  cached, third = runs.run(blessing='second')
  assert cached and third.id == second.id

  for _ in range(2):  # The second loss is in the same state as the first.
    shutil.rmtree(runs.base / version)
    cached, restored = runs.run(blessing='second')
    assert not cached and runs.versions() == [version]
    assert restored.custom_properties['pushed_version'].string_value == version
    cached, _ = runs.run(blessing='second')
    assert cached


def test_other_weights_get_another_version(runs):
  runs.run()
  (first,) = runs.versions()
  (runs.model / 'Format-Serving/variables/variables.index').write_bytes(b'others')
  # The model artifact is the same, as after a change behind TFX's back.
  cached, pushed = runs.run()
  assert not cached
  assert runs.versions() == [first, pushed.custom_properties['pushed_version'].string_value]


@pytest.mark.parametrize('options', [{'blessed': 0}, {'infra_blessed': 0}])
def test_one_missing_blessing_stops_it(runs, options):
  _, pushed = runs.run(**options)
  assert runs.versions() == []
  assert pushed.custom_properties['pushed'].int_value == 0
  cached, _ = runs.run(**options)
  assert cached


def test_a_destination_that_has_no_rename(runs):
  with pytest.raises(ServingError, match='POSIX'):
    runs.run(base='gs://bucket/serving')


def test_it_compiles_for_kubeflow(runs, tmp_path):
  kubeflow_v2_dag_runner.KubeflowV2DagRunner(
    config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image='sightline'),
    output_dir=str(tmp_path),
    output_filename='pipeline.yaml',
  ).run(runs.pipeline(base='/serving'))
  assert 'components.publisher.executor.Executor' in (tmp_path / 'pipeline.yaml').read_text()
