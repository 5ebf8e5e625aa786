"""The client of gRPC, and that of REST beside it, asked of the real server."""

import contextlib
import pathlib
import shutil

import pytest

from schemas.errors import ServingError
from schemas.weights_hash import weights_sha256
from serving import backoff, client
from serving.prediction import RejectedError, of_reply
from serving.target import Target
from serving.tls import Tls
from tests.unit.serving import exports

PATH = pathlib.Path('a.png')


@pytest.fixture(scope='module')
def server(tmp_path_factory, image_model):
  base = tmp_path_factory.mktemp('base')
  shutil.copytree(image_model, base / '7')
  with exports.served(base, 'digits', poll_seconds=3600) as running:
    yield running


@pytest.fixture(scope='module')
def secure(tmp_path_factory, certificates):
  """A server that speaks TLS, and asks for a certificate."""
  base = tmp_path_factory.mktemp('base')
  exports.write_affine_model(base / '3')
  key, certificate = certificates / 'key.pem', certificates / 'cert.pem'
  tls = Tls(key, certificate, client_ca=certificate)
  with exports.served(base, 'digits', poll_seconds=3600, tls=tls) as running:
    yield running


@pytest.fixture
def connect():
  with contextlib.ExitStack() as opened:

    def connect(url, model='digits', **settings):
      return opened.enter_context(
        contextlib.closing(client.connect(Target(url, model, **settings)))
      )

    yield connect


def grpc_url(server, scheme='grpc'):
  return f'{scheme}://127.0.0.1:{server.grpc_port}'


def test_both_protocols_give_the_same_answer_to_the_last_digit(server, connect, image_model):
  images = [exports.encoded(8), exports.encoded(9, 'JPEG', 40, 30)]
  by_grpc, by_rest = (
    [of_reply(PATH, reply) for reply in connect(url).predict(images)]
    for url in (grpc_url(server), server.url)
  )
  assert by_grpc == by_rest
  expected = exports.expected_probabilities(1, exports.picture(8))
  assert by_grpc[0].probabilities == pytest.approx(expected.tolist(), abs=1e-5)
  assert by_grpc[0].label == exports.LABELS[int(expected.argmax())]
  assert {(found.model_version, found.model_sha256) for found in by_grpc} == {
    ('7', weights_sha256(image_model))
  }


def test_the_check_passes_and_says_what_is_wrong(server, connect):
  url = grpc_url(server)
  connect(url).check()
  connect(url, version=7).check()
  for settings, told in (
    ({'model': 'other'}, 'NOT_FOUND: Could not find any versions of model other'),
    ({'version': 8}, 'version 8: refused with NOT_FOUND'),
    ({'label': 'canary'}, 'Unrecognized servable version label: canary.*sightline deploy'),
  ):
    with pytest.raises(ServingError, match=told):
      connect(url, **settings).check()


def test_an_image_that_is_none_is_rejected(server, connect):
  with pytest.raises(RejectedError, match=r'INVALID_ARGUMENT: image_bytes\[1\]: not_an_image'):
    connect(grpc_url(server)).predict([exports.encoded(8), b'hello'])


def test_a_port_of_the_other_protocol_and_nobody_are_told_apart(server, connect):
  with pytest.raises(ServingError, match='no gRPC: a REST port is asked by http://'):
    connect(f'grpc://127.0.0.1:{server.port}').check()
  with pytest.raises(ServingError, match='no REST: a gRPC port is asked by grpc://'):
    connect(f'http://127.0.0.1:{server.grpc_port}').check()
  with pytest.raises(ServingError, match='no TLS: ask grpc://'):
    connect(grpc_url(server, 'grpcs')).check()
  with pytest.raises(ServingError, match='sightline serve') as caught:
    connect('grpc://127.0.0.1:1').predict([b'x'])
  assert not isinstance(caught.value, backoff.BusyError)


def test_tls_is_spoken_and_what_is_missing_for_it_is_told(secure, connect, certificates):
  own = certificates / 'cert.pem', certificates / 'key.pem'
  for plain, url in (('http', secure.url), ('grpc', grpc_url(secure, 'grpcs'))):
    connect(url, ca=own[0], certificate=own).check()
    with pytest.raises(ServingError, match='vouches for it: --ca FILE'):
      connect(url).check()
    with pytest.raises(ServingError, match='--certificate and --key'):
      connect(url, ca=own[0]).check()
    with pytest.raises(ServingError, match=f'A server with TLS is asked by {plain}s://'):
      connect(f'{plain}://{url.partition("://")[2]}').check()
