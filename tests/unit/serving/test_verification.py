"""The proof of an export, replayed against live servers by REST and gRPC."""

import contextlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from models import golden_images, proof
from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256
from serving import verification, verification_grpc, verification_rest
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def published(tmp_path_factory, image_model):
  base = tmp_path_factory.mktemp('base') / 'digits'
  shutil.copytree(image_model, base / '7')
  return base / '7'


@pytest.fixture(scope='module')
def server(published):
  with exports.served(published.parent, 'digits', poll_seconds=3600) as running:
    yield running


@pytest.fixture(params=['REST', 'gRPC'])
def opened(request, server):
  """Connects to a model of the server by either protocol."""
  if request.param == 'REST':
    return lambda name='digits': verification_rest.opened(server.url, name)
  return lambda name='digits': verification_grpc.opened(f'127.0.0.1:{server.grpc_port}', name)


def verify(opened, export, limit=None, name='digits'):
  with opened(name) as live:
    return verification.verify(export, live, limit)


def test_the_server_answers_as_the_process_that_trained(opened, published, image_model):
  found = verify(opened, published)
  assert found.ok and found.same_version and found.same_weights
  assert found.versions == {'7'} and found.sha256s == {weights_sha256(image_model)}
  assert 0 < found.largest_difference <= 1e-5 == found.limit
  rows = {row.name: row for row in found.rows}
  assert set(rows) == {image.name for image in golden_images.make()}
  # The embedded server converts, so that no answer is missing but those of what is no image.
  missing = {name for name, row in rows.items() if row.difference is None}
  assert missing == {'nothing.jpg', 'text.jpg', 'cut.jpg', 'white_8000x8000.png'}
  assert 'too_many_pixels' in rows['white_8000x8000.png'].said


def test_a_limit_that_no_server_meets(opened, published):
  found = verify(opened, published, limit=0.0)
  assert not found.ok and found.same_version and found.same_weights
  wrong = [row for row in found.rows if not row.ok]
  assert wrong and all(row.said == 'differs by more than 0' for row in wrong)


def test_another_export_than_the_served_one(opened, other_image_model, tmp_path):
  other = tmp_path / '8'
  shutil.copytree(other_image_model, other)
  found = verify(opened, other)
  assert not found.ok and not found.same_version and not found.same_weights
  assert found.expected_version == '8' and found.largest_difference > 1e-3


def test_an_export_that_is_no_published_version_has_none_to_compare(opened, published, tmp_path):
  shutil.copytree(published, tmp_path / 'Format-Serving')
  found = verify(opened, tmp_path / 'Format-Serving')
  assert found.ok and found.expected_version == ''


def test_another_model_and_nobody_there(opened, published):
  with pytest.raises(ServingError, match="expected a server of the model 'cats'.*--model NAME"):
    verify(opened, published, name='cats')
  for absent in (
    verification_rest.opened('http://127.0.0.1:9', 'digits', timeout_seconds=5),
    verification_grpc.opened('127.0.0.1:9', 'digits', timeout_seconds=5),
  ):
    with pytest.raises(ServingError, match='expected a model server'), absent as live:
      verification.verify(published, live)


def test_an_export_without_a_proof_or_with_one_of_another(opened, published, tmp_path):
  shutil.copytree(published, tmp_path / '7')
  found = json.loads((proof.folder(tmp_path / '7') / 'proof.json').read_text())
  (proof.folder(tmp_path / '7') / 'proof.json').write_text(
    json.dumps(found | {'weights_sha256': 'f' * 64})
  )
  with pytest.raises(ExportError, match='expected a proof of the weights'):
    verify(opened, tmp_path / '7')
  shutil.rmtree(proof.folder(tmp_path / '7'))
  with pytest.raises(ExportError, match='expected the proof that an export carries'):
    verify(opened, tmp_path / '7')


@contextlib.contextmanager
def stranger(predict: tuple[int, str]):
  """A web server whose metadata is a model server's, and its answers are not."""

  class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
      self._say(200, json.dumps({'model_spec': {'version': '7'}}))

    def do_POST(self):
      self.rfile.read(int(self.headers['content-length']))
      self._say(*predict)

    def _say(self, code, text):
      self.send_response(code)
      self.send_header('content-length', str(len(text)))
      self.end_headers()
      self.wfile.write(text.encode())

    def log_message(self, *_):
      pass

  running = HTTPServer(('127.0.0.1', 0), Handler)
  thread = threading.Thread(target=running.serve_forever)
  thread.start()
  try:
    yield f'http://127.0.0.1:{running.server_port}'
  finally:
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize(
  ('answer', 'text'),
  [
    ((200, '<html>'), 'expected the answer of a Sightline model'),
    ((200, '{"predictions": [1.5]}'), 'expected the answer of a Sightline model'),
    ((503, '{"error": "full"}'), 'HTTP 503: full'),
  ],
)
def test_answers_of_no_model_of_ours(answer, text, published):
  with stranger(answer) as url, verification_rest.opened(url, 'digits') as live:
    with pytest.raises(ServingError, match=text):
      verification.verify(published, live)


def test_a_server_that_refuses_everything_is_not_as_expected(published):
  # As TensorFlow Serving does, it names the version in its metadata alone, and no weights.
  refusal = (400, '{"error": "no"}')
  with stranger(refusal) as url, verification_rest.opened(url, 'digits') as live:
    found = verification.verify(published, live)
  assert not found.ok and found.versions == {'7'} and found.sha256s == frozenset()
  assert {row.outcome for row in found.rows if row.ok} == {'refused', 'converted'}
  assert found.rows[0].said == 'refused: no' and found.largest_difference == 0
