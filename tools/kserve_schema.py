"""Cuts the schema that our KServe manifests are checked by out of KServe's own CRDs.

  python tools/kserve_schema.py KSERVE_CHECKOUT > tests/unit/deploy/kserve.schema.json

The CRDs hold 770 kB, most of it the pod specification repeated for each framework.
Kept is what our manifests may use; what is left out is refused like a misspelt key, as an
API server with strict validation does. Nothing is loosened.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import yaml

CRDS = pathlib.Path('config/crd/full')
# Of each kind: its CRD, its version, and the long parts of the specification that stay.
KINDS = {
  'InferenceService': ('serving.kserve.io_inferenceservices.yaml', 'v1beta1', ('model',)),
  'ServingRuntime': ('serving.kserve.io_servingruntimes.yaml', 'v1alpha1', ('containers',)),
}
# A part that takes more JSON than this is long.
SHORT = 400
FREE = 'x-kubernetes-preserve-unknown-fields'


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('checkout', type=pathlib.Path, help='of github.com/kserve/kserve')
  checkout = parser.parse_args().checkout
  commit = subprocess.run(
    ['git', '-C', str(checkout), 'rev-parse', 'HEAD'], check=True, capture_output=True, text=True
  ).stdout.strip()
  made = {
    '$schema': 'https://json-schema.org/draft/2020-12/schema',
    '$comment': (
      f'Part of {CRDS} of github.com/kserve/kserve at {commit}; Copyright The KServe Authors, '
      'Apache License 2.0. Changed: descriptions and parts that Sightline does not use are '
      'left out, keys that are not named are refused. Made by tools/kserve_schema.py.'
    ),
    'oneOf': [
      kind(name, version, (checkout / CRDS / file).read_text(encoding='utf-8'), kept)
      for name, (file, version, kept) in KINDS.items()
    ],
  }
  json.dump(made, sys.stdout, indent=1)
  print()
  return 0


def kind(name: str, version: str, crd: str, kept: tuple[str, ...]) -> dict:
  """Returns the schema of one kind of manifest."""
  loaded = yaml.safe_load(crd)
  (found,) = [one for one in loaded['spec']['versions'] if one['name'] == version]
  spec = strict(found['schema']['openAPIV3Schema'])['properties']['spec']
  if name == 'InferenceService':
    spec['properties'] = {'predictor': spec['properties']['predictor']}
    cut(spec['properties']['predictor'], kept)
  else:
    cut(spec, kept)
  return {
    'type': 'object',
    'required': ['apiVersion', 'kind', 'metadata', 'spec'],
    'additionalProperties': False,
    'properties': {
      'apiVersion': {'const': f'{loaded["spec"]["group"]}/{version}'},
      'kind': {'const': name},
      # The CRD leaves it to Kubernetes.
      'metadata': {'type': 'object', 'required': ['name']},
      'spec': spec,
    },
  }


def strict(schema: dict) -> dict:
  """Returns a schema without descriptions, that refuses keys it does not name."""
  made = {}
  for key, value in schema.items():
    if key == 'properties':
      made[key] = {name: strict(part) for name, part in value.items()}
    elif isinstance(value, dict):
      made[key] = strict(value)
    elif key in ('anyOf', 'oneOf', 'allOf'):
      made[key] = [strict(part) for part in value]
    elif key != 'description' and not key.startswith('x-kubernetes'):
      made[key] = value
  if 'properties' in made and not schema.get(FREE):
    made.setdefault('additionalProperties', False)
  return made


def cut(schema: dict, kept: tuple[str, ...]) -> None:
  """Leaves out the long properties, except those that are kept."""
  schema['properties'] = {
    name: part
    for name, part in schema['properties'].items()
    if name in kept or len(json.dumps(part)) <= SHORT
  }


if __name__ == '__main__':
  sys.exit(main())
