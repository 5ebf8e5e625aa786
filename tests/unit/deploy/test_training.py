"""The objects that train on several machines: their schemas, and names that have to agree."""

import copy
import json
import pathlib

import jsonschema
import kubernetes_validate
import pytest

from pipeline import summary, training_job
from tests.unit.deploy.manifests import DEPLOY, documents

FOLDER = DEPLOY / 'kubernetes/training'
SCHEMA = json.loads(pathlib.Path(__file__).with_name('jobset.schema.json').read_text())
KUBERNETES = '1.32'
(JOB,) = documents(FOLDER / 'job.yaml')
(JOB_SET,) = documents(FOLDER / 'job_set.yaml')
(SERVICE,) = documents(FOLDER / 'service.yaml')
(REPLICATED,) = JOB_SET['spec']['replicatedJobs']


def environment(job_spec: dict, index: int) -> dict[str, str]:
  (container,) = job_spec['template']['spec']['containers']
  given = {one['name']: one['value'] for one in container['env']}
  # Kubernetes sets it in each pod of an indexed job.
  return {**given, 'JOB_COMPLETION_INDEX': str(index)}


def errors(job_set: dict) -> list[str]:
  found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(job_set)
  return [error.message for error in found]


def as_job(job_set: dict) -> dict:
  spec = job_set['spec']['replicatedJobs'][0]['template']['spec']
  return {'apiVersion': 'batch/v1', 'kind': 'Job', 'metadata': {'name': 'x'}, 'spec': spec}


def test_the_job_set_is_of_its_schema_and_its_job_of_kubernetes():
  assert errors(JOB_SET) == []
  kubernetes_validate.validate(as_job(JOB_SET), KUBERNETES, strict=True)


@pytest.mark.parametrize(
  ('place', 'value', 'part'),
  [
    (('spec', 'failurePolicy', 'restartStrategy'), 'Sometimes', 'Sometimes'),
    (('spec', 'network', 'enableDNSHostname'), True, 'enableDNSHostname'),
    (('spec', 'successPolicy'), {}, 'operator'),
    (('apiVersion',), 'jobset.x-k8s.io/v1', 'was expected'),
  ],
)
def test_a_planted_mistake_is_seen(place, value, part):
  changed = copy.deepcopy(JOB_SET)
  inner = changed
  for key in place[:-1]:
    inner = inner[key]
  inner[place[-1]] = value
  (found,) = errors(changed)
  assert part in found


@pytest.mark.parametrize('place', ['completion', 'backoffLimits'])
def test_a_planted_mistake_in_its_job_is_seen(place):
  changed = as_job(copy.deepcopy(JOB_SET))
  changed['spec'][place] = 2
  with pytest.raises(kubernetes_validate.ValidationError):
    kubernetes_validate.validate(changed, KUBERNETES, strict=True)


@pytest.mark.parametrize('spec', [JOB['spec'], REPLICATED['template']['spec']], ids=['job', 'set'])
def test_there_are_as_many_pods_as_workers(spec):
  workers = training_job.member(environment(spec, 0)).workers
  assert (spec['completionMode'], spec['parallelism'], spec['completions']) == (
    'Indexed',
    workers,
    workers,
  )
  assert spec['successPolicy'] == {'rules': [{'succeededIndexes': '0'}]}


@pytest.mark.parametrize('spec', [JOB['spec'], REPLICATED['template']['spec']], ids=['job', 'set'])
def test_a_model_that_was_refused_is_not_trained_again(spec):
  (rule,) = spec['podFailurePolicy']['rules']
  (container,) = spec['template']['spec']['containers']
  refused = summary.exit_code({'outcome': summary.NOT_BLESSED, 'answer_error': None})
  assert rule['action'] == 'FailJob'
  assert rule['onExitCodes'] == {
    'containerName': container['name'],
    'operator': 'In',
    'values': [refused],
  }
  # Kubernetes asks for it beside such a rule.
  assert spec['template']['spec']['restartPolicy'] == 'Never'


def test_a_pod_of_the_job_finds_the_others_through_the_service():
  spec = JOB['spec']
  pod = spec['template']
  assert SERVICE['spec']['clusterIP'] == 'None' and SERVICE['spec']['publishNotReadyAddresses']
  assert pod['spec']['subdomain'] == SERVICE['metadata']['name']
  assert SERVICE['spec']['selector'].items() <= pod['metadata']['labels'].items()
  # The host name of an indexed job's pod is the job's name and its index.
  host, port = training_job.member(environment(spec, 0)).address(1)
  assert host == f'{JOB["metadata"]["name"]}-1.{SERVICE["metadata"]["name"]}'
  assert [port] == [one['port'] for one in SERVICE['spec']['ports']]


def test_a_pod_of_the_job_set_finds_the_others_through_its_network():
  network = JOB_SET['spec']['network']
  assert network['enableDNSHostnames'] and network['publishNotReadyAddresses']
  host, _ = training_job.member(environment(REPLICATED['template']['spec'], 0)).address(1)
  # JobSet: <set>-<replicated job>-<job index>-<pod index>.<subdomain>
  name = f'{JOB_SET["metadata"]["name"]}-{REPLICATED["name"]}-0-1'
  assert host == f'{name}.{network["subdomain"]}'


@pytest.mark.parametrize('spec', [JOB['spec'], REPLICATED['template']['spec']], ids=['job', 'set'])
def test_the_port_is_open_to_the_workers_alone(spec):
  (policy,) = documents(FOLDER / 'network_policy.yaml')
  labels = policy['spec']['podSelector']['matchLabels']
  assert labels.items() <= spec['template']['metadata']['labels'].items()
  ((rule,),) = [policy['spec']['ingress']]
  assert rule['from'] == [{'podSelector': {'matchLabels': labels}}]
  assert [one['port'] for one in rule['ports']] == [training_job.member(environment(spec, 0)).port]


def test_they_ask_for_a_volume_that_all_of_them_may_write():
  (claim,) = documents(FOLDER / 'runs_volume.yaml')
  assert claim['spec']['accessModes'] == ['ReadWriteMany']
  for spec in (JOB['spec'], REPLICATED['template']['spec']):
    (volume,) = spec['template']['spec']['volumes']
    assert volume['persistentVolumeClaim']['claimName'] == claim['metadata']['name']
