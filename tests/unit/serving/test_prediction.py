import pathlib

import pytest

from schemas.errors import ServingError
from serving import identity, prediction
from tests.unit.serving import scripted_server

PATH = pathlib.Path('a.png')
ROW = scripted_server.row()


def test_an_answer_is_read_with_what_the_server_said_of_itself():
  told = {'x-model-version': '7', 'x-model-sha256': 'ab', 'x-fallback': 'previous'}
  found = prediction.of_reply(PATH, prediction.Reply(ROW, told))
  assert found == prediction.Prediction(
    PATH, 'red', 0, 0.75, (0.75, 0.25), '7', 'ab', False, 0.5, True, 'previous'
  )


def test_an_export_of_earlier_days_and_another_server_say_less():
  row = {key: ROW[key] for key in ('label', 'class_id', 'probabilities')}
  found = prediction.of_reply(PATH, prediction.Reply(row, {}))
  assert found == prediction.Prediction(PATH, 'red', 0, 0.75, (0.75, 0.25))


def test_a_stated_label_is_no_class_and_has_no_probability():
  row = ROW | {'class_id': -1, 'probabilities': [0.0, 0.0], 'label': 'unknown'}
  found = prediction.of_reply(PATH, prediction.Reply(row, {'x-fallback': 'default'}))
  assert (found.label, found.class_id, found.probability) == ('unknown', -1, 0.0)


@pytest.mark.parametrize(
  'row', [{}, {'y': 1.0}, ROW | {'class_id': 2}, ROW | {'probabilities': 0.5}]
)
def test_the_answer_of_another_kind_of_model_is_shown(row):
  with pytest.raises(ServingError, match='Sightline model.*Received: '):
    prediction.of_reply(PATH, prediction.Reply(row, {}))


def test_client_and_server_call_the_headers_alike():
  # The client does not import the server's module, and with it TensorFlow.
  assert (prediction.MODEL_VERSION, prediction.MODEL_SHA256, prediction.FALLBACK) == (
    identity.MODEL_VERSION,
    identity.MODEL_SHA256,
    identity.FALLBACK,
  )
