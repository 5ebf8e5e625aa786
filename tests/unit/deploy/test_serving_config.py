"""The config files of both servers, read as TensorFlow Serving reads them."""

import pytest
import typer.main
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from pipeline import __main__ as command_line
from schemas.errors import ServingError
from serving import batching_parameters, metrics, model_config
from tests.unit.deploy import manifests
from tests.unit.deploy.manifests import DEPLOY

CONFIG = DEPLOY / 'config'
NAME = 'digits'


def monitoring_message():
  """monitoring_config.proto, which tensorflow-serving-api does not carry."""
  types = descriptor_pb2.FieldDescriptorProto
  file = descriptor_pb2.FileDescriptorProto(name='m.proto', package='t', syntax='proto3')
  prometheus = file.message_type.add(name='PrometheusConfig')
  prometheus.field.add(name='enable', number=1, type=types.TYPE_BOOL, label=1)
  prometheus.field.add(name='path', number=2, type=types.TYPE_STRING, label=1)
  monitoring = file.message_type.add(name='MonitoringConfig')
  monitoring.field.add(
    name='prometheus_config',
    number=1,
    type=types.TYPE_MESSAGE,
    type_name='.t.PrometheusConfig',
    label=1,
  )
  pool = descriptor_pool.DescriptorPool()
  pool.Add(file)
  return message_factory.GetMessageClass(pool.FindMessageTypeByName('t.MonitoringConfig'))()


def test_the_models():
  (model,) = model_config.read(CONFIG / 'models.config').model_config_list.config
  assert (model.name, model.base_path) == (NAME, f'/models/{NAME}')


def test_the_canary_labels_versions_that_its_policy_loads():
  (model,) = model_config.read(CONFIG / 'models_canary.config').model_config_list.config
  loaded = list(model.model_version_policy.specific.versions)
  assert set(model.version_labels) == {'stable', 'canary'}
  assert sorted(model.version_labels.values()) == sorted(loaded) and len(set(loaded)) == 2


def test_the_metrics_are_where_the_embedded_server_has_them():
  text = (CONFIG / 'monitoring.config').read_text()
  found = text_format.Parse(text, monitoring_message())
  assert found.prometheus_config.enable and found.prometheus_config.path == metrics.PATH


def test_the_batches():
  found = batching_parameters.read(CONFIG / 'batching.config')
  sizes = list(found.allowed_batch_sizes)
  assert sizes == sorted(set(sizes)) and sizes[-1] == found.max_batch_size == 32


@pytest.mark.parametrize(
  'line, planted, part',
  [
    ('allowed_batch_sizes: 32', 'allowed_batch_sizes: 64', 'max_batch_size'),
    ('allowed_batch_sizes: 4\n', 'allowed_batch_sizes: 1\n', 'ascending'),
    ('max_batch_size', 'maximum_batch_size', 'maximum_batch_size'),
  ],
)
def test_a_planted_mistake_in_the_batches_is_seen(tmp_path, line, planted, part):
  text = (CONFIG / 'batching.config').read_text()
  assert line in text
  path = tmp_path / 'batching.config'
  path.write_text(text.replace(line, planted))
  with pytest.raises(ServingError, match=part):
    batching_parameters.read(path)


def test_a_planted_mistake_in_the_monitoring_is_seen():
  text = (CONFIG / 'monitoring.config').read_text().replace('enable', 'enabled')
  with pytest.raises(text_format.ParseError, match='enabled'):
    text_format.Parse(text, monitoring_message())


def unknown_flags(server: str, given) -> set[str]:
  if server == 'tensorflow':
    return set(given) - manifests.TENSORFLOW_MODEL_SERVER_FLAGS
  serve = typer.main.get_command(command_line.app).commands['serve']
  known = {option.lstrip('-') for parameter in serve.params for option in parameter.opts}
  return set(given) - known


@pytest.mark.parametrize(
  'server, given', [pytest.param(*rest, id=where) for where, *rest in manifests.started_servers()]
)
def test_every_flag_exists(server, given):
  assert given and unknown_flags(server, given) == set()


def test_a_flag_of_the_other_server_is_seen():
  assert unknown_flags('sightline', {'rest_api_port': '1', 'port': '1'}) == {'rest_api_port'}
  assert unknown_flags('tensorflow', {'drain-seconds': '1', 'port': '1'}) == {'drain-seconds'}


@pytest.mark.parametrize(
  'server, given', [pytest.param(*rest, id=where) for where, *rest in manifests.started_servers()]
)
def test_every_file_that_a_flag_names_is_mounted_or_copied(server, given):
  named = [value for value in given.values() if value.startswith('/config/')]
  assert all((CONFIG / value.removeprefix('/config/')).is_file() for value in named)
  # TensorFlow Serving refuses to start with parameters of batches that it was not told to make.
  assert server == 'sightline' or {'enable_batching', 'batching_parameters_file'} <= set(given)


def test_the_name_of_the_model_is_one_and_the_same():
  (model,) = model_config.read(CONFIG / 'models.config').model_config_list.config
  built = dict(
    rest.split('=', 1)
    for name, rest in manifests.instructions(DEPLOY / 'tensorflow_serving/Dockerfile')
    if name == 'ARG'
  )
  assert built['MODEL_NAME'] == model.name and model.base_path == f'/models/{model.name}'
  (volume,) = manifests.documents(DEPLOY / 'kubernetes/models_volume.yaml')
  for name in ('inference_service', 'tensorflow_serving'):
    service = manifests.documents(DEPLOY / f'kserve/{name}.yaml')[-1]
    uri = service['spec']['predictor']['model']['storageUri']
    assert uri == f'pvc://{volume["metadata"]["name"]}/{model.name}'
