"""The entry of a container: one component, from a bucket to a bucket."""

import json

import pytest

from pipeline.kubeflow import container, expectation

SCHEMA = 'feature { name: "label" type: BYTES }\n'
OUTPUTS = {
  'artifacts': {'schema': {'artifactType': {'instanceSchema': 'title: tfx.Schema\ntype: object\n'}}}
}


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
