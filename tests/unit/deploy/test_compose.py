"""compose.yaml: its schema, and whether what it names is there."""

import re
import subprocess

import pytest

from tests.unit.deploy.manifests import BIN, DEPLOY, GRPC, REST, command, documents, flags

COMPOSE = DEPLOY / 'compose.yaml'


def check(path) -> subprocess.CompletedProcess:
  return subprocess.run(
    [BIN / 'check-jsonschema', '--builtin-schema', 'vendor.compose-spec', str(path)],
    capture_output=True,
    text=True,
  )


@pytest.fixture(scope='module')
def services():
  return documents(COMPOSE)[0]['services']


def test_it_is_of_the_compose_specification():
  done = check(COMPOSE)
  assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
  'line, planted, part',
  [
    ('stop_grace_period: 45s', 'stop_grace_periods: 45s', 'stop_grace_periods'),
    ('depends_on: [prometheus]', 'depends_on: 7', 'depends_on'),
  ],
)
def test_a_planted_mistake_is_seen(tmp_path, line, planted, part):
  text = COMPOSE.read_text()
  assert line in text
  path = tmp_path / 'compose.yaml'
  path.write_text(text.replace(line, planted))
  done = check(path)
  assert done.returncode == 1 and part in done.stdout


def test_every_folder_and_file_that_it_mounts_or_builds_is_there(services):
  mounted = [
    volume['source'] if isinstance(volume, dict) else volume.partition(':')[0]
    for service in services.values()
    for volume in service['volumes']
  ]
  ours = [source for source in mounted if source.startswith('./')]
  assert len(ours) == 5 and all((DEPLOY / source).is_dir() for source in ours)
  build = services['server']['build']
  assert (DEPLOY / build['context'] / build['dockerfile']).is_file()
  named = {source for source in mounted if re.fullmatch(r'\w+', source)}
  assert named == set(documents(COMPOSE)[0]['volumes'])


def test_nothing_is_published_to_other_machines(services):
  published = [port for service in services.values() for port in service['ports']]
  assert published and all(port.startswith('127.0.0.1:') for port in published)
  for name in ('server', 'tensorflow-serving'):
    assert services[name]['ports'] == [f'127.0.0.1:{port}:{port}' for port in (GRPC, REST)]


def test_every_image_has_a_tag(services):
  assert all(re.search(r':v?\d+\.\d+\.\d+$', service['image']) for service in services.values())


def test_each_is_hardened(services):
  for service in services.values():
    assert service['read_only'] is True and service['cap_drop'] == ['ALL']


def test_prometheus_asks_the_servers_that_compose_names(services):
  (job,) = documents(DEPLOY / 'monitoring/prometheus/prometheus.yml')[0]['scrape_configs']
  (discovery,) = job['dns_sd_configs']
  assert set(discovery['names']) < set(services) and discovery['port'] == REST


def test_grafana_finds_its_folders(services):
  targets = dict(volume.split(':')[:2] for volume in services['grafana']['volumes'])
  (provider,) = documents(DEPLOY / 'monitoring/grafana/provisioning/dashboards/sightline.yaml')[0][
    'providers'
  ]
  assert targets['./monitoring/grafana/dashboards'] == provider['options']['path']
  home = services['grafana']['environment']['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH']
  folder, _, name = home.rpartition('/')
  assert folder == provider['options']['path']
  assert (DEPLOY / 'monitoring/grafana/dashboards' / name).is_file()
  (source,) = documents(DEPLOY / 'monitoring/grafana/provisioning/datasources/prometheus.yaml')[0][
    'datasources'
  ]
  assert source['url'] == 'http://prometheus:9090' and 'prometheus' in services


def test_the_server_may_finish_what_it_drains(services):
  from serving import server

  drain = float(flags(command(DEPLOY / 'server/Dockerfile'))['drain-seconds'])
  # It starts as its image says.
  assert 'command' not in services['server']
  grace = int(services['server']['stop_grace_period'].removesuffix('s'))
  assert grace > drain + server._DRAIN_SECONDS


def test_tensorflow_serving_is_not_process_one(services):
  # As process 1 it would sit SIGTERM out.
  assert services['tensorflow-serving']['init'] is True
