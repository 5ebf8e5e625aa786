"""The Kubernetes objects: their schema, and what no schema sees."""

import copy

import kubernetes_validate
import pytest
from google.protobuf import text_format

from serving import batching_parameters, metrics, model_config
from tests.unit.deploy.manifests import DEPLOY, GRPC, REST, ROOT, documents, flags, of_kind

KUBERNETES = '1.32'
FOLDERS = ('server', 'tensorflow_serving')
OBJECTS = {
  f'{path.parent.name}/{path.stem}-{number}': document
  for path in sorted((DEPLOY / 'kubernetes').rglob('*.yaml'))
  for number, document in enumerate(documents(path))
  # Of a schema of its own: test_training.py.
  if document['kind'] != 'JobSet'
}
EACH = pytest.mark.parametrize('folder', FOLDERS)
UNITS = {'Mi': 2**20, 'Gi': 2**30}


def only(folder: str, kind: str) -> dict:
  (found,) = of_kind(folder, kind)
  return found


def pod(folder: str) -> dict:
  return only(folder, 'Deployment')['spec']['template']


def container(folder: str) -> dict:
  (found,) = pod(folder)['spec']['containers']
  return found


def quantity(text: str) -> int:
  return int(text[:-2]) * UNITS[text[-2:]]


@pytest.mark.parametrize('name', OBJECTS)
def test_it_is_of_the_published_schema(name):
  kubernetes_validate.validate(OBJECTS[name], KUBERNETES, strict=True)


@pytest.mark.parametrize(
  'name, place, value',
  [
    ('server/deployment-0', ('spec', 'replicas'), 'two'),
    ('server/deployment-0', ('spec', 'template', 'spec', 'terminationGracePeriod'), 45),
    ('tensorflow_serving/service-0', ('spec', 'ports'), {'port': 8500}),
    ('server/horizontal_pod_autoscaler-0', ('spec', 'targetRef'), {}),
    ('server/pod_disruption_budget-0', ('spec', 'maxUnavailable'), [1]),
    ('server/network_policy-0', ('spec', 'policyTypes'), 'Ingress'),
    ('server/config_map-0', ('data', 'models.config'), 7),
    ('kubernetes/models_volume-0', ('spec', 'accessModes'), 'ReadWriteMany'),
  ],
)
def test_a_planted_mistake_is_seen(name, place, value):
  changed = copy.deepcopy(OBJECTS[name])
  inner = changed
  for key in place[:-1]:
    inner = inner[key]
  inner[place[-1]] = value
  with pytest.raises(kubernetes_validate.ValidationError):
    kubernetes_validate.validate(changed, KUBERNETES, strict=True)


@EACH
def test_each_kind_is_there(folder):
  kinds = [document['kind'] for name, document in OBJECTS.items() if name.startswith(f'{folder}/')]
  assert sorted(kinds) == [
    'ConfigMap',
    'Deployment',
    'HorizontalPodAutoscaler',
    'NetworkPolicy',
    'PodDisruptionBudget',
    'Service',
    'Service',
  ]


@EACH
def test_ports_and_their_names_agree(folder):
  ports = {port['name']: port['containerPort'] for port in container(folder)['ports']}
  assert ports == {'grpc': GRPC, 'rest': REST}
  for service in of_kind(folder, 'Service'):
    for port in service['spec']['ports']:
      assert ports[port['targetPort']] == port['port']
  for name in ('startupProbe', 'readinessProbe', 'livenessProbe'):
    probe = container(folder)[name]
    (kind,) = set(probe) & {'httpGet', 'grpc', 'tcpSocket'}
    port = probe[kind]['port']
    # A probe of gRPC takes a number alone.
    assert (port == GRPC) if kind == 'grpc' else (port in ports)
  for rule in only(folder, 'NetworkPolicy')['spec']['ingress']:
    assert {port['port'] for port in rule['ports']} <= set(ports)
  given = flags(container(folder)['args'])
  for flag, expected in (('port', GRPC), ('rest_api_port', REST)):
    assert folder == 'server' or int(given[flag]) == expected
  annotations = pod(folder)['metadata']['annotations']
  assert annotations['prometheus.io/port'] == str(REST)
  assert annotations['prometheus.io/path'] == metrics.PATH


@EACH
def test_selectors_match_the_labels_of_the_pods(folder):
  labels = pod(folder)['metadata']['labels']
  deployment = only(folder, 'Deployment')
  selectors = [
    deployment['spec']['selector']['matchLabels'],
    only(folder, 'PodDisruptionBudget')['spec']['selector']['matchLabels'],
    only(folder, 'NetworkPolicy')['spec']['podSelector']['matchLabels'],
    *(service['spec']['selector'] for service in of_kind(folder, 'Service')),
    *(
      one['labelSelector']['matchLabels']
      for one in pod(folder)['spec']['topologySpreadConstraints']
    ),
  ]
  assert all(selector and selector.items() <= labels.items() for selector in selectors)
  target = only(folder, 'HorizontalPodAutoscaler')['spec']['scaleTargetRef']
  assert (target['kind'], target['name']) == ('Deployment', deployment['metadata']['name'])


def test_the_two_servers_are_told_apart():
  first, second = (only(folder, 'Deployment') for folder in FOLDERS)
  assert first['spec']['selector'] != second['spec']['selector']
  names = [(document['kind'], document['metadata']['name']) for document in OBJECTS.values()]
  assert len(set(names)) == len(names)


@EACH
def test_no_pod_is_root_or_writes_to_its_image(folder):
  assert pod(folder)['spec']['securityContext']['runAsNonRoot'] is True
  assert pod(folder)['spec']['securityContext']['runAsUser'] > 0
  context = container(folder)['securityContext']
  assert context['readOnlyRootFilesystem'] is True and context['allowPrivilegeEscalation'] is False
  assert context['capabilities'] == {'drop': ['ALL']}


@EACH
def test_volumes_are_declared_and_the_models_read_only(folder):
  declared = {volume['name']: volume for volume in pod(folder)['spec']['volumes']}
  mounts = {mount['mountPath']: mount for mount in container(folder)['volumeMounts']}
  assert {mount['name'] for mount in mounts.values()} == set(declared)
  assert mounts['/models']['readOnly'] is True
  claim = declared['models']['persistentVolumeClaim']['claimName']
  assert claim == OBJECTS['kubernetes/models_volume-0']['metadata']['name']
  # A subPath would never see a change of the ConfigMap.
  assert not any('subPath' in mount for mount in mounts.values())
  assert declared['config']['configMap']['name'] == only(folder, 'ConfigMap')['metadata']['name']


@EACH
def test_two_versions_fit_and_the_cpu_is_not_capped(folder):
  resources = container(folder)['resources']
  assert set(resources['limits']) == {'memory'} and set(resources['requests']) == {'cpu', 'memory'}
  assert quantity(resources['limits']['memory']) >= 2 * quantity(resources['requests']['memory'])


@EACH
def test_a_rollout_and_the_upkeep_leave_pods_in_service(folder):
  assert only(folder, 'Deployment')['spec']['strategy']['rollingUpdate']['maxUnavailable'] == 0
  replicas = only(folder, 'HorizontalPodAutoscaler')['spec']['minReplicas']
  budget = only(folder, 'PodDisruptionBudget')['spec']['maxUnavailable']
  assert replicas > budget >= 1
  # Else every `kubectl apply` would undo what the autoscaler did.
  assert 'replicas' not in only(folder, 'Deployment')['spec']


def test_the_embedded_server_has_the_time_to_drain():
  from serving import server

  drain = float(flags(container('server')['args'])['drain-seconds'])
  probe = container('server')['readinessProbe']
  # It must be seen as not ready before it closes.
  assert drain >= probe['periodSeconds'] * probe['failureThreshold'] + probe['timeoutSeconds']
  grace = pod('server')['spec']['terminationGracePeriodSeconds']
  assert grace > drain + server._DRAIN_SECONDS
  assert 'lifecycle' not in container('server')


def test_tensorflow_serving_which_ignores_sigterm_sleeps_first():
  sleep = container('tensorflow_serving')['lifecycle']['preStop']['exec']['command']
  assert sleep == ['/bin/sleep', '20']
  grace = pod('tensorflow_serving')['spec']['terminationGracePeriodSeconds']
  timeout = int(flags(container('tensorflow_serving')['args'])['rest_api_timeout_in_ms']) / 1000
  assert grace == 45 and grace > int(sleep[1]) + timeout


def test_the_probes_of_the_embedded_server_are_its_routes():
  paths = {
    name: container('server')[name]['httpGet']['path']
    for name in ('startupProbe', 'readinessProbe', 'livenessProbe')
  }
  # A pod that drains is alive: only /healthz may end it.
  assert paths == {
    'startupProbe': '/readyz',
    'readinessProbe': '/readyz',
    'livenessProbe': '/healthz',
  }
  routes = (ROOT / 'serving/rest.py').read_text()
  assert all(f"Route('{path}'" in routes for path in paths.values())


def test_the_probes_of_tensorflow_serving_are_what_it_can_answer():
  found = container('tensorflow_serving')
  models = text_of(only('tensorflow_serving', 'ConfigMap'), 'models.config')
  assert found['startupProbe']['httpGet']['path'] == f'/v1/models/{models[0].name}'
  assert found['readinessProbe']['grpc']['service'] == 'PredictionService'
  assert 'enable_grpc_healthcheck_service' in flags(found['args'])
  assert 'tcpSocket' in found['livenessProbe']


def text_of(config_map: dict, key: str):
  from tensorflow_serving.config import model_server_config_pb2

  parsed = text_format.Parse(config_map['data'][key], model_server_config_pb2.ModelServerConfig())
  model_config.check(parsed)
  return parsed.model_config_list.config


@EACH
def test_the_config_map_is_that_of_deploy_config(folder, tmp_path):
  data = only(folder, 'ConfigMap')['data']
  for name, text in data.items():
    assert text == (DEPLOY / 'config' / name).read_text()
  named = {value for value in flags(container(folder)['args']).values() if '/config/' in value}
  assert named == {f'/config/{name}' for name in data}
  # As YAML gives it to the pod, comments and all.
  path = tmp_path / 'batching.config'
  path.write_text(data['batching.config'])
  assert batching_parameters.read(path).max_batch_size == 32


def test_a_planted_mistake_in_the_models_is_seen():
  broken = copy.deepcopy(only('server', 'ConfigMap'))
  broken['data']['models.config'] = broken['data']['models.config'].replace('base_path', 'path')
  with pytest.raises(text_format.ParseError, match='path'):
    text_of(broken, 'models.config')


def test_images_are_those_that_are_built():
  compose = documents(DEPLOY / 'compose.yaml')[0]['services']
  assert container('server')['image'] == compose['server']['image']
  assert container('tensorflow_serving')['image'] == compose['tensorflow-serving']['image']
