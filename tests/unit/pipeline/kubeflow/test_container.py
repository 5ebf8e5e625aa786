"""The entry of a container: one component, from a bucket to a bucket."""

import json

import pytest

from pipeline import beam_engine
from pipeline.kubeflow import container, expectation
from schemas.beam import BeamConfig, DataflowConfig
from schemas.errors import RunError

SCHEMA = 'feature { name: "label" type: BYTES }\n'
OUTPUTS = {
  'artifacts': {'schema': {'artifactType': {'instanceSchema': 'title: tfx.Schema\ntype: object\n'}}}
}

DATAFLOW = DataflowConfig(
  project='p',
  region='r',
  temp_location='gs://bucket/temp',
  staging_location='gs://bucket/staging',
  worker_image='image:1',
)


def arguments(**changed):
  given = {
    'inputs': {'parameterValues': {'schema_file': '/elsewhere', 'schema_text': SCHEMA}},
    'outputs': {
      'artifacts': {
        # As the open-source backend may put it.
        'schema': {
          'artifacts': [
            {
              'name': 'a-1',
              'uri': 'gs://bucket/run/schema',
              'type': {'schemaTitle': 'system.Artifact'},
            }
          ]
        }
      },
      'outputFile': 'gs://bucket/run/report.json',
    },
  }
  inputs = {name: {'parameterType': 'STRING'} for name in given['inputs']['parameterValues']}
  words = {
    '--expect': expectation.compiled_here().to_json(),
    '--executor_class_path': 'components.import_schema_gen.executor.Executor',
    '--json_serialized_invocation_args': json.dumps(given),
    '--json_serialized_inputs_spec_args': json.dumps({'parameters': inputs}),
    container.OUTPUTS_SPEC: json.dumps(OUTPUTS),
  } | changed
  return [word for pair in words.items() for word in pair]


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  # A library sets it when another test of this process imports it.
  monkeypatch.delenv(expectation.LEGACY_SWITCH, raising=False)
  (tmp_path / 'gcs').mkdir()
  return tmp_path / 'gcs/bucket/run'


@pytest.mark.slow
def test_a_bucket_is_a_folder_for_the_component_and_a_bucket_in_the_report(bucket, tmp_path):
  container.main(arguments(), mounted=tmp_path)
  assert (bucket / 'schema/schema.pbtxt').read_text() == SCHEMA
  reported = json.loads((bucket / 'report.json').read_text())
  (schema,) = reported['artifacts']['schema']['artifacts']
  assert (schema['uri'], schema['name']) == ('gs://bucket/run/schema', 'a-1')


@pytest.mark.slow
def test_the_general_type_alone_stops_the_entry_of_tfx(bucket, tmp_path):
  # What the declared types are for.
  with pytest.raises(ImportError, match='system.Artifact'):
    container.main(arguments(**{container.OUTPUTS_SPEC: '{}'}), mounted=tmp_path)
  assert not (bucket / 'report.json').exists()


def test_a_step_on_dataflow_is_given_the_bucket_itself(tmp_path, monkeypatch):
  monkeypatch.delenv(expectation.LEGACY_SWITCH, raising=False)
  handed = []
  monkeypatch.setattr(container, '_run_tfx', handed.append)
  # No bucket is mounted here: without Dataflow that is an error.
  with pytest.raises(RunError, match='no folder'):
    container.main(arguments(), mounted=tmp_path)
  flags = beam_engine.arguments(BeamConfig(engine='dataflow', dataflow=DATAFLOW))
  container.main([*arguments(), *flags], mounted=tmp_path)
  ((given, *_),) = [[word for word in words if 'outputFile' in word] for words in handed]
  assert json.loads(given)['outputs']['outputFile'] == 'gs://bucket/run/report.json'
  assert flags[0] in handed[0]
