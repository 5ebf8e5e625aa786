"""Buckets as folders, and back."""

import pytest
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.kubeflow import mounts
from schemas.errors import RunError


@pytest.fixture
def here(tmp_path):
  (tmp_path / 'gcs').mkdir()
  (tmp_path / 'minio').mkdir()
  return mounts.Mounts(tmp_path)


@pytest.mark.parametrize(
  ('uri', 'folder'),
  [('gs://b/run/x', 'gcs/b/run/x'), ('minio://mlpipeline/v2', 'minio/mlpipeline/v2')],
)
def test_there_and_back(here, tmp_path, uri, folder):
  assert here.path(uri) == f'{tmp_path}/{folder}'
  assert here.uri(f'{tmp_path}/{folder}') == uri


@pytest.mark.parametrize('text', ['/mnt/shared', 'plain text', '', '{"a": "gs://b"}'])
def test_what_is_no_bucket_stays(here, text):
  assert here.path(text) == here.uri(text) == text


def test_a_bucket_that_is_not_mounted_is_refused(here):
  with pytest.raises(RunError, match='s3://b/x: expected its bucket below .*/s3'):
    here.path('s3://b/x')


def test_everything_that_a_step_is_given(here, tmp_path):
  given = pipeline_spec_pb2.ExecutorInput()
  given.inputs.artifacts['model'].artifacts.add(uri='gs://b/model')
  given.inputs.parameter_values['root'].string_value = 'gs://b/data'
  given.inputs.parameter_values['epochs'].number_value = 3
  given.outputs.artifacts['made'].artifacts.add(uri='gs://b/made')
  given.outputs.output_file = 'gs://b/report.json'
  mounts.to_paths(given, here)
  assert given.inputs.artifacts['model'].artifacts[0].uri == f'{tmp_path}/gcs/b/model'
  assert given.inputs.parameter_values['root'].string_value == f'{tmp_path}/gcs/b/data'
  assert given.inputs.parameter_values['epochs'].number_value == 3
  assert given.outputs.artifacts['made'].artifacts[0].uri == f'{tmp_path}/gcs/b/made'
  assert given.outputs.output_file == f'{tmp_path}/gcs/b/report.json'


def test_everything_that_a_step_reports(here, tmp_path):
  reported = pipeline_spec_pb2.ExecutorOutput()
  made = reported.artifacts['made'].artifacts.add(uri=f'{tmp_path}/gcs/b/made')
  made.metadata.update({'model_uri': f'{tmp_path}/gcs/b/model', 'blessed': 1, 'word': 'x'})
  mounts.to_uris(reported, here)
  assert made.uri == 'gs://b/made'
  assert dict(made.metadata) == {'model_uri': 'gs://b/model', 'blessed': 1, 'word': 'x'}
