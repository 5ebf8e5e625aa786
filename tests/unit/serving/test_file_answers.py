import pathlib
import threading

import pytest

from schemas.errors import ServingError
from serving import file_answers
from serving.prediction import RejectedError, Reply
from tests.unit.serving import exports, scripted_server


class Client:
  """Answers an image by its own bytes, and refuses those that it is told to."""

  def __init__(self, spoilt=(), dead=()):
    self.spoilt, self.dead = spoilt, dead
    self.requests = []
    self.lock = threading.Lock()

  def predict(self, images):
    with self.lock:
      self.requests.append(list(images))
    if any(image in self.dead for image in images):
      raise ServingError('the server is gone')
    if any(image in self.spoilt for image in images):
      raise RejectedError('image_bytes: broken')
    return [Reply(scripted_server.row(label=image.hex()[-16:]), {}) for image in images]


@pytest.fixture
def images(tmp_path):
  """Seven images that are sent as they are, by path."""
  found = {}
  for seed in range(7):
    path = tmp_path / f'{seed}.png'
    path.write_bytes(exports.encoded(seed))
    found[path] = path.read_bytes()
  return found


def labels(answers):
  return [answer.prediction.label for answer in answers]


@pytest.mark.parametrize(
  ('together', 'at_once', 'sizes'), [(1, 3, [1] * 7), (3, 1, [3, 3, 1]), (10, 2, [7])]
)
def test_answers_come_in_the_order_of_the_files(images, together, at_once, sizes):
  client = Client()
  answers = list(file_answers.ask(images, client, together, at_once))
  assert [answer.path for answer in answers] == list(images)
  assert labels(answers) == [data.hex()[-16:] for data in images.values()]
  assert sorted(map(len, client.requests), reverse=True) == sizes


def test_requests_are_under_way_at_once_and_files_are_not_read_far_ahead(images):
  together = threading.Barrier(3, timeout=10)
  taken = []

  class Waiting(Client):
    def predict(self, images):
      together.wait()
      return super().predict(images)

  def paths():
    for path in list(images)[:6]:
      taken.append(path)
      yield path

  answers = file_answers.ask(paths(), Waiting(), 1, 3)
  next(answers)
  assert len(taken) <= 6
  assert len(list(answers)) == 5

  taken.clear()
  answers = file_answers.ask(paths(), Client(), 1, 1)
  next(answers)
  assert len(taken) == 2


def test_what_is_no_image_is_a_row_and_does_not_spoil_its_neighbours(images, tmp_path):
  first, second, *_ = images
  (tmp_path / 'text.png').write_text('hello')
  (tmp_path / 'empty.png').touch()
  paths = [first, tmp_path / 'text.png', tmp_path / 'absent.png', tmp_path / 'empty.png', second]
  client = Client()
  found = list(file_answers.ask(paths, client, together=5))
  assert [answer.path for answer in found] == paths
  assert [answer.prediction is not None for answer in found] == [True, False, False, False, True]
  assert found[1].error.startswith('not_an_image: Expected one of JPEG')
  assert 'No such file' in found[2].error
  assert found[3].error == 'empty_file: Expected an image. Received: 0 bytes.'
  assert client.requests == [[images[first], images[second]]]


def test_an_image_that_the_server_refuses_costs_its_neighbours_nothing(images):
  paths = list(images)[:3]
  client = Client(spoilt=[images[paths[1]]])
  found = list(file_answers.ask(paths, client, together=3))
  assert [answer.error for answer in found] == ['', 'image_bytes: broken', '']
  assert [len(request) for request in client.requests] == [3, 1, 1, 1]


def test_a_server_that_goes_leaves_rows_and_no_exception(images):
  paths = list(images)[:2]
  found = list(file_answers.ask(paths, Client(dead=[images[paths[1]]])))
  assert [answer.error for answer in found] == ['', 'the server is gone']


def test_a_request_is_no_larger_than_the_door_lets_in(images, monkeypatch):
  sizes = [len(data) for data in images.values()]
  monkeypatch.setattr(file_answers, '_LARGEST_TOGETHER', sizes[0] + sizes[1])
  client = Client()
  assert len(list(file_answers.ask(images, client, together=7))) == 7
  assert [len(request) for request in client.requests][0] == 2
  assert all(sum(map(len, request)) <= sizes[0] + sizes[1] for request in client.requests)


def test_an_answer_of_another_model_is_a_row(images):
  class Other(Client):
    def predict(self, images):
      return [Reply({'y': 1.0}, {}) for _ in images]

  (found,) = file_answers.ask([next(iter(images))], Other())
  assert 'Sightline model' in found.error


def test_a_photo_that_grew_too_large_is_sent_as_it_was(tmp_path, monkeypatch):
  path = pathlib.Path(tmp_path, 'a.tiff')
  exports.picture(1, 40, 30).save(path, compression='jpeg')
  assert file_answers.prepared(path).startswith(b'\x89PNG')
  monkeypatch.setattr(file_answers, '_LARGEST_SENT', 100)
  assert file_answers.prepared(path) == path.read_bytes()
