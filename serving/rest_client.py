"""Asks a model server by TensorFlow Serving's REST API."""

import base64
import ssl
from collections.abc import Sequence
from typing import Any

import httpx

from schemas.errors import ConfigError, ServingError
from serving import backoff
from serving.prediction import RejectedError, Reply, not_ours
from serving.target import Target

AVAILABLE = 'AVAILABLE'
_BUSY = (429, 503)
_REJECTED = (400, 413)


class RestClient:
  """A connection to one model; any thread may use it. Close it after use.

  Args:
    target: which model, and how it is asked.
    connections: requests that may be under way at once.

  Raises:
    ConfigError: a file of TLS cannot be used.
  """

  def __init__(self, target: Target, connections: int = 1):
    self.target = target
    try:
      self._http = httpx.Client(
        base_url=target.url,
        timeout=target.timeout_seconds,
        verify=_trusted(target),
        # A proxy of the environment does not lead to this machine.
        trust_env=not target.is_loopback,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
      )
    except httpx.InvalidURL as error:
      raise ConfigError(f'{target.url}: expected a URL. Received: {error}.') from error

  def close(self) -> None:
    """Closes the connections."""
    self._http.close()

  def check(self) -> None:
    """Asks for the state of the model, so that a wrong address is told once.

    Raises:
      ServingError: the server is not there, is none, does not know the model, or has no
        version of it in service.
    """
    response = self._send('GET', self.target.rest_path, None, 'the state of the model')
    try:
      rows = response.json()['model_version_status']
      states = {row['version']: row['state'] for row in rows}
      errors = [row['status']['error_message'] for row in rows if row['status']['error_message']]
    except (ValueError, KeyError, TypeError) as error:
      raise self._no_status(response) from error
    if AVAILABLE not in states.values():
      raise not_in_service(self.target, states, errors)

  def predict(self, images: Sequence[bytes]) -> list[Reply]:
    """Asks about encoded images in one request.

    Returns:
      A Reply an image.

    Raises:
      RejectedError: the server does not take one of them.
      ServingError: the server is not there, refused, or gave no such answer.
    """
    body = {'instances': [{'b64': base64.b64encode(data).decode()} for data in images]}
    response = backoff.patiently(lambda: self._predict(body, len(images)), self.target.retries)
    try:
      rows = response.json()['predictions']
      if len(rows) != len(images):
        raise ValueError('another number of rows')
      return [Reply(dict(row), response.headers) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
      raise not_ours(response.text) from error

  def _predict(self, body: Any, count: int) -> httpx.Response:
    subject = f'{count} images' if count > 1 else 'an image'
    response = self._send('POST', f'{self.target.rest_path}:predict', body, subject)
    if response.status_code != 200:
      raise self._refused(response)
    return response

  def _send(self, method: str, path: str, body: Any, subject: str) -> httpx.Response:
    try:
      return self._http.request(method, path, json=body)
    except httpx.TimeoutException as error:
      raise ServingError(
        f'{self.target.url}: expected an answer about {subject} within '
        f'{self.target.timeout_seconds:g} s. Received: {type(error).__name__}. '
        'Give it longer with --timeout, or ask for less at once.'
      ) from error
    except httpx.ConnectError as error:
      raise ServingError(
        f'{self.target.url}: expected a model server. Received: {error}. {self._advice(error)}'
      ) from error
    except httpx.HTTPError as error:
      raise ServingError(
        f'{self.target.url}: expected an answer about {subject}. '
        f'Received: {type(error).__name__} {str(error).rstrip(".")}. {self._advice(error)}'
      ) from error

  def _advice(self, error: Exception) -> str:
    """What a person may try, by what the other side did with our first bytes."""
    text = str(error)
    if 'CERTIFICATE_VERIFY_FAILED' in text:
      return 'Say who vouches for it: --ca FILE.'
    if 'WRONG_VERSION_NUMBER' in text or 'RECORD_LAYER_FAILURE' in text:
      return 'It speaks no TLS: ask http:// instead of https://.'
    if isinstance(error, httpx.ConnectError):
      return 'Start one with: sightline serve'
    if 'illegal request line' in text or 'illegal status line' in text:
      return 'It speaks no REST: a gRPC port is asked by grpc://HOST:PORT.'
    if self.target.url.startswith('http:'):
      return 'A server with TLS is asked by https://.'
    if self.target.certificate is None:
      return 'A server that asks for a certificate is given it by --certificate and --key.'
    return 'The log of the server may say more.'

  def _refused(self, response: httpx.Response) -> ServingError:
    code = response.status_code
    said = _error_text(response)
    text = f'{self.target}: refused with HTTP {code}: {said}{next_step(said)}'
    if code in _BUSY:
      return backoff.BusyError(text, _retry_after(response))
    return RejectedError(text) if code in _REJECTED else ServingError(text)

  def _no_status(self, response: httpx.Response) -> ServingError:
    if response.status_code != 200 and '"error"' in response.text:
      return self._refused(response)
    return ServingError(
      f"{self.target.url}: expected TensorFlow Serving's REST API. "
      f'Received: HTTP {response.status_code} {response.text[:100]!r}. '
      'Another program may listen there: check the port.'
    )


def not_in_service(target: Target, states: dict[str, str], errors: Sequence[str]) -> ServingError:
  """Returns the error of a model that the server knows and cannot ask."""
  said = ', '.join(f'version {version} {state}' for version, state in states.items())
  because = f' ({errors[0][:300]})' if errors else ''
  return ServingError(
    f'{target}: expected a version in service. Received: {said or "none"}{because}. '
    'Wait until it is AVAILABLE, or publish one with: sightline run CONFIG'
  )


def _trusted(target: Target) -> ssl.SSLContext | bool:
  if target.ca is None and target.certificate is None:
    return True
  try:
    context = ssl.create_default_context(cafile=target.ca)
    if target.certificate is not None:
      context.load_cert_chain(*target.certificate)
    return context
  except (OSError, ssl.SSLError) as error:
    files = ', '.join(str(path) for path in (target.ca, *(target.certificate or ())) if path)
    raise ConfigError(
      f'{files}: expected certificates and a key in PEM form. Received: {error}.'
    ) from error


def _error_text(response: httpx.Response) -> str:
  try:
    return str(response.json()['error'])
  except (ValueError, KeyError, TypeError):
    return response.text[:200]


def next_step(said: str) -> str:
  """Returns what a person may do about a refusal, by the server's words; often nothing."""
  if 'version label' in said:
    return '. Labels are set in the model config file, or by: sightline deploy'
  if said.startswith('Could not find') or 'Servable not found' in said:
    return (
      '. `sightline serve` prints the names when it starts; GET /v1/models/NAME has the versions'
    )
  return ''


def _retry_after(response: httpx.Response) -> float:
  # The other form, a date, is as good as nothing here.
  given = response.headers.get('retry-after', '')
  return float(given[:9]) if given.isdigit() else 0.0
