"""HandleReloadConfigRequest, and the config file."""

import grpc
import pytest
from tensorflow_serving.config import model_server_config_pb2

from tests.e2e.conformance import models
from tests.e2e.conformance.client import error_of, refused, wait_for

BODY = {'instances': [2.0]}


def test_a_model_is_added_and_removed(server, own_model):
  own_model.add(1)
  error_of(server.post(f'{own_model.name}:predict', BODY), 404)
  answer = server.reload(own_model.config)
  assert (answer.status.error_code, answer.status.error_message) == (0, '')
  # It is answered once the model answers.
  assert server.predict_y(own_model.name) == (3.0, 1)
  server.reload(models.labelled(server.base))
  wait_for(
    lambda: server.post(f'{own_model.name}:predict', BODY).status_code == 404, 'the model to go'
  )


def test_a_model_comes_back(server, own_model):
  own_model.add(1)
  own_model.serve()
  server.reload(models.labelled(server.base))
  wait_for(
    lambda: server.post(f'{own_model.name}:predict', BODY).status_code == 404, 'the model to go'
  )
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE'})
  assert server.predict_y(own_model.name) == (3.0, 1)


def test_a_config_takes_the_place_of_everything(server, own_model):
  own_model.add(1)
  alone = model_server_config_pb2.ModelServerConfig()
  alone.model_config_list.config.append(own_model.entry)
  server.reload(alone)
  assert server.predict_y(own_model.name) == (3.0, 1)
  wait_for(
    lambda: server.post('half_plus_two:predict', BODY).status_code == 404, 'the others to go'
  )
  server.reload(labelled_later(server))
  wait_for(lambda: server.post('half_plus_two:predict', BODY).status_code == 200, 'the others')


def labelled_later(server):
  """First the models, then their labels: only a loaded version may have one."""
  server.reload(models.config(server.base))
  wait_for(lambda: len(server.states('two_versions')) == 2, 'both versions')
  wait_for(lambda: set(server.states('two_versions').values()) == {'AVAILABLE'}, 'both versions')
  return models.labelled(server.base)


def test_another_path_of_a_model(server, own_model):
  own_model.add(1)
  own_model.serve()
  assert server.predict_y(own_model.name) == (3.0, 1)
  own_model.entry.base_path = str(server.base / 'half_plus_three')
  own_model.serve()
  wait_for(lambda: server.predict_y(own_model.name) == (4.0, 123), 'the other path')
  own_model.entry.base_path = str(server.base / own_model.name)
  own_model.serve()
  wait_for(lambda: server.predict_y(own_model.name) == (3.0, 1), 'the first path')


def _twice(config, base):
  models.add(config, 'half_plus_two', base / 'half_plus_three')


def _relative(config, base):
  config.model_config_list.config.add(
    name='relative', base_path='half_plus_two', model_platform='tensorflow'
  )


def _custom(config, base):
  config.Clear()
  config.custom_model_config.SetInParent()


def _nothing(config, base):
  config.Clear()


@pytest.mark.parametrize('spoil', [_twice, _relative, _custom, _nothing])
def test_a_bad_config_leaves_the_one_before(server, spoil):
  config = models.labelled(server.base)
  spoil(config, server.base)
  refused(lambda: server.reload(config), grpc.StatusCode.INVALID_ARGUMENT)
  assert server.predict_y('half_plus_two') == (3.0, 123)
  assert server.predict_y('two_versions', label=models.STABLE) == (3.0, 123)


def test_an_unknown_platform(server):
  config = models.labelled(server.base)
  config.model_config_list.config.add(
    name='other', base_path=str(server.base / 'half_plus_two'), model_platform='other'
  )
  with pytest.raises(grpc.RpcError) as told:
    server.reload(config)
  # Of the two, TensorFlow Serving's depends on where it notices.
  assert told.value.code() in (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
  )
  assert server.predict_y('half_plus_two') == (3.0, 123)


@pytest.mark.embedded_only(
  'it reads its config file again only with --model_config_file_poll_wait_seconds, and then at '
  'each look, so that what another case reloads would not last'
)
def test_the_config_file_is_looked_at_again(server, own_model):
  own_model.add(1)
  fresh = server.config_file.with_suffix('.new')
  models.write_config(fresh, own_model.config)
  fresh.rename(server.config_file)
  wait_for(
    lambda: server.post(f'{own_model.name}:predict', BODY).status_code == 200, 'the new model'
  )


@pytest.mark.embedded_only('see the case before')
def test_a_config_file_that_cannot_be_read_leaves_the_one_before(server, own_model):
  fresh = server.config_file.with_suffix('.new')
  fresh.write_text('model_config_list { config { nonsense', encoding='utf-8')
  fresh.rename(server.config_file)
  said = f'{server.config_file}: expected ModelServerConfig in its text format'
  wait_for(lambda: said in server.log.read_text(encoding='utf-8'), 'a word about the file')
  assert server.predict_y('half_plus_two') == (3.0, 123)
  # What comes after it is read again.
  own_model.add(1)
  models.write_config(fresh, own_model.config)
  fresh.rename(server.config_file)
  wait_for(
    lambda: server.post(f'{own_model.name}:predict', BODY).status_code == 200, 'the new model'
  )
