"""The KServe objects against the schema of KServe's own CRDs, and what it does not see."""

import copy
import json
import pathlib

import jsonschema
import pytest

from serving import metrics
from tests.unit.deploy.manifests import DEPLOY, documents, flags

SCHEMA = json.loads(pathlib.Path(__file__).with_name('kserve.schema.json').read_text())
EMBEDDED = documents(DEPLOY / 'kserve/inference_service.yaml')
TENSORFLOW = documents(DEPLOY / 'kserve/tensorflow_serving.yaml')


def errors(document: dict) -> list[str]:
  kinds = {kind['properties']['kind']['const']: kind for kind in SCHEMA['oneOf']}
  validator = jsonschema.Draft202012Validator(kinds[document['kind']])
  return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize('document', [*EMBEDDED, *TENSORFLOW], ids=lambda one: one['kind'])
def test_it_is_of_the_schema_of_the_crd(document):
  assert errors(document) == []


@pytest.mark.parametrize(
  'place, value, part',
  [
    (('spec', 'predictor', 'model', 'storageURI'), 'pvc://a', 'storageURI'),
    (('spec', 'predictor', 'model', 'modelFormat'), 'tensorflow', 'not of type'),
    (('spec', 'predictor', 'minReplicas'), 'two', 'not of type'),
    (('spec', 'predictor', 'minReplica'), 2, 'minReplica'),
    (('apiVersion',), 'serving.kserve.io/v1', 'was expected'),
  ],
)
def test_a_planted_mistake_is_seen(place, value, part):
  changed = copy.deepcopy(EMBEDDED[1])
  inner = changed
  for key in place[:-1]:
    inner = inner[key]
  inner[place[-1]] = value
  (found,) = errors(changed)
  assert part in found


def test_a_planted_mistake_in_the_runtime_is_seen():
  changed = copy.deepcopy(EMBEDDED[0])
  del changed['spec']['containers'][0]['name']
  changed['spec']['containers'][0]['port'] = 8080
  assert len(errors(changed)) == 2


def test_the_service_names_its_runtime_format_and_protocol():
  runtime, service = EMBEDDED
  model = service['spec']['predictor']['model']
  assert model['runtime'] == runtime['metadata']['name']
  (supported,) = runtime['spec']['supportedModelFormats']
  assert model['modelFormat'] == {key: supported[key] for key in ('name', 'version')}
  assert model['protocolVersion'] in runtime['spec']['protocolVersions']


def test_ports_of_the_runtime_agree():
  spec = EMBEDDED[0]['spec']
  (container,) = spec['containers']
  (port,) = container['ports']
  given = flags(container['args'])
  # KServe's: 8080 for REST, 9000 for gRPC; the model is below /mnt/models.
  assert port['containerPort'] == int(given['port']) == 8080 and given['grpc-port'] == '9000'
  assert given['directory'] == '/mnt/models' and container['name'] == 'kserve-container'
  probes = [container[name] for name in ('startupProbe', 'readinessProbe', 'livenessProbe')]
  assert all(probe['httpGet']['port'] == 8080 for probe in probes)
  assert spec['annotations'] == {
    'prometheus.kserve.io/port': '8080',
    'prometheus.kserve.io/path': metrics.PATH,
  }


def test_the_image_and_the_drain_are_those_of_the_plain_deployment():
  (deployment,) = documents(DEPLOY / 'kubernetes/server/deployment.yaml')
  (plain,) = deployment['spec']['template']['spec']['containers']
  (container,) = EMBEDDED[0]['spec']['containers']
  assert container['image'] == plain['image'] and container['resources'] == plain['resources']
  assert flags(container['args'])['drain-seconds'] == flags(plain['args'])['drain-seconds']
  for service in (EMBEDDED[1], TENSORFLOW[0]):
    assert service['spec']['predictor']['terminationGracePeriodSeconds'] == 45


def test_the_schema_says_where_it_comes_from():
  assert 'github.com/kserve/kserve' in SCHEMA['$comment'] and 'Apache' in SCHEMA['$comment']
