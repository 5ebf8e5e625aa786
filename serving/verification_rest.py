"""A live server by TensorFlow Serving's REST API, for serving/verification.py."""

import base64
import contextlib
import ssl
import urllib.parse
from collections.abc import Iterator

import httpx
import numpy as np

from schemas import signatures
from schemas.errors import ServingError
from serving.verification import Asked

_LOOPBACK = ('127.0.0.1', 'localhost', '::1')
_VERSION, _SHA256 = 'x-model-version', 'x-model-sha256'


class RestServer:
  """A server at a URL; see verification.Server."""

  def __init__(self, client: httpx.Client, model_name: str):
    self._client = client
    self._name = model_name
    self._path = f'/v1/models/{urllib.parse.quote(model_name, safe="")}'

  def version(self) -> str:
    response = self._send('GET', f'{self._path}/metadata')
    if response.status_code == 404:
      raise ServingError(
        f'{self._client.base_url}: expected a server of the model {self._name!r}. Received: '
        f'{_said(response)} Name the model that it serves: --model NAME'
      )
    found = self._json(response)
    try:
      return str(found['model_spec']['version'])
    except (KeyError, TypeError) as error:
      raise self._stranger(response) from error

  def ask(self, image: bytes) -> Asked:
    body = {
      'signature_name': signatures.SERVING_DEFAULT,
      'instances': [{'b64': base64.b64encode(image).decode()}],
    }
    response = self._send('POST', f'{self._path}:predict', body)
    # What TensorFlow Serving makes of INVALID_ARGUMENT.
    if response.status_code == 400:
      return Asked(_said(response))
    try:
      row = self._json(response)['predictions'][0]
      # A model of one output answers without its name; no model of ours has but one.
      probabilities = np.array(row[signatures.PROBABILITIES], np.float64)
    except (KeyError, IndexError, TypeError, ValueError) as error:
      raise self._stranger(response) from error
    headers = response.headers
    return Asked(probabilities, headers.get(_VERSION, ''), headers.get(_SHA256, ''))

  def _send(self, method: str, path: str, body: dict | None = None) -> httpx.Response:
    try:
      return self._client.request(method, path, json=body)
    except httpx.HTTPError as error:
      raise ServingError(
        f'{self._client.base_url}: expected a model server. Received: {type(error).__name__}: '
        f'{error}. Start one with: sightline serve; of gRPC give HOST:PORT without http://'
      ) from error

  def _json(self, response: httpx.Response) -> dict:
    if response.status_code != 200:
      raise ServingError(
        f'{self._client.base_url}: expected an answer. Received: HTTP {response.status_code}: '
        f'{_said(response)}'
      )
    try:
      return response.json()
    except ValueError as error:
      raise self._stranger(response) from error

  def _stranger(self, response: httpx.Response) -> ServingError:
    return ServingError(
      f'{self._client.base_url}: expected the answer of a Sightline model on a model server. '
      f'Received: {response.text[:200]!r}'
    )


@contextlib.contextmanager
def opened(
  url: str, model_name: str, ca: str | None = None, timeout_seconds: float = 60.0
) -> Iterator[RestServer]:
  """Connects to a server.

  Args:
    url: such as http://127.0.0.1:8501.
    model_name: that it serves.
    ca: file of who vouches for its certificate, where that is nobody known.
    timeout_seconds: for one answer.

  Raises:
    ServingError: the URL or the file cannot be used.
  """
  try:
    host = httpx.URL(url).host
    verify = ssl.create_default_context(cafile=ca) if ca else True
    # A proxy of the environment does not lead to this machine.
    client = httpx.Client(
      base_url=url, timeout=timeout_seconds, verify=verify, trust_env=host not in _LOOPBACK
    )
  except (httpx.InvalidURL, OSError) as error:
    raise ServingError(
      f'{url}: expected a URL such as http://127.0.0.1:8501, and a file of certificates with --ca. '
      f'Received: {error}.'
    ) from error
  with client:
    yield RestServer(client, model_name)


def _said(response: httpx.Response) -> str:
  try:
    return ' '.join(str(response.json()['error']).split())
  except (ValueError, KeyError, TypeError):
    return response.text[:200]
