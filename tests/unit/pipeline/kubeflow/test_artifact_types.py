"""Types that a backend left out."""

import pytest
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.kubeflow import artifact_types

MODEL = 'title: tfx.Model\ntype: object\n'


def given(**kind):
  artifacts = pipeline_spec_pb2.ExecutorInput().inputs.artifacts
  artifacts['model'].artifacts.add(
    uri='/x', type=pipeline_spec_pb2.ArtifactTypeSchema(**kind) if kind else None
  )
  return artifacts


@pytest.fixture
def declared():
  artifacts = pipeline_spec_pb2.ComponentInputsSpec().artifacts
  artifacts['model'].artifact_type.instance_schema = MODEL
  return artifacts


@pytest.mark.parametrize(
  'kind', [{}, {'schema_title': 'system.Model'}, {'schema_title': 'system.Artifact'}]
)
def test_a_type_that_says_nothing_becomes_the_declared_one(declared, kind):
  artifacts = given(**kind)
  artifact_types.restore(artifacts, declared)
  assert artifacts['model'].artifacts[0].type.instance_schema == MODEL
  assert artifacts['model'].artifacts[0].uri == '/x'


@pytest.mark.parametrize(
  'kind',
  [{'schema_title': 'tfx.Examples'}, {'instance_schema': 'title: components.Dataset\n'}],
)
def test_a_type_that_says_something_stays(declared, kind):
  artifacts = given(**kind)
  artifact_types.restore(artifacts, declared)
  assert artifacts['model'].artifacts[0].type == pipeline_spec_pb2.ArtifactTypeSchema(**kind)


def test_what_is_not_declared_stays():
  artifacts = given(schema_title='system.Model')
  artifact_types.restore(artifacts, {})
  assert artifacts['model'].artifacts[0].type.schema_title == 'system.Model'
