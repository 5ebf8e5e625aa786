"""What is cut out of a CRD is narrower than it, never looser."""

import importlib.util
import pathlib

import jsonschema
import pytest
import yaml

PATH = pathlib.Path(__file__).parents[3] / 'tools/kserve_schema.py'
CRD = {
  'spec': {
    'group': 'serving.kserve.io',
    'versions': [
      {
        'name': 'v1alpha1',
        'schema': {
          'openAPIV3Schema': {
            'properties': {
              'spec': {
                'required': ['containers'],
                'properties': {
                  'containers': {
                    'type': 'array',
                    'description': 'long',
                    'items': {'properties': {'name': {'type': 'string', 'pattern': 'x' * 500}}},
                  },
                  'volumes': {'type': 'string', 'pattern': 'y' * 500},
                  'free': {'type': 'object', 'x-kubernetes-preserve-unknown-fields': True},
                },
              }
            }
          }
        },
      }
    ],
  }
}


@pytest.fixture(scope='module')
def cut():
  spec = importlib.util.spec_from_file_location('kserve_schema', PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.kind('ServingRuntime', 'v1alpha1', yaml.safe_dump(CRD), ('containers',))


@pytest.mark.parametrize(
  'spec, right',
  [
    ({'containers': [{'name': 'x' * 500}]}, True),
    ({'containers': [], 'free': {'any': 'thing'}}, True),
    ({'containers': [{'name': 7}]}, False),
    ({'containers': [{'nam': 'x'}]}, False),
    ({}, False),
    # Long and not kept: refused, not let through unseen.
    ({'containers': [], 'volumes': 'y' * 500}, False),
  ],
)
def test_a_manifest(cut, spec, right):
  manifest = {
    'apiVersion': 'serving.kserve.io/v1alpha1',
    'kind': 'ServingRuntime',
    'metadata': {'name': 'a'},
    'spec': spec,
  }
  assert jsonschema.Draft202012Validator(cut).is_valid(manifest) is right
