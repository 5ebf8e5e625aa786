"""TensorFlow Serving's REST API: predict and status.

Classify, regress, labels and metadata are not there yet and say so with 501.
"""

import dataclasses
import json
import logging
import re
import urllib.parse
from collections.abc import Callable

import tensorflow as tf
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from schemas import signatures
from schemas.errors import ServingError
from serving import door, tensor_json
from serving.http_errors import HttpError, code_and_text
from serving.servable import numpy_dtype
from serving.versions import VersionNotFoundError, Versions, VersionStatus

MODEL_VERSION = 'x-model-version'
MODEL_SHA256 = 'x-model-sha256'

# On the undecoded path, as upstream; name and label are decoded afterwards.
_POST = re.compile(
  r'/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)',
  re.IGNORECASE,
)
_GET = re.compile(
  r'/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata)?', re.IGNORECASE
)
# A client that is told 413 in the middle of its sending sees a broken pipe
# instead; so much of the rest is read and dropped.
_DRAIN_BYTES = 256 << 20

_LOG = logging.getLogger(__name__)


def create_app(
  versions: Versions,
  model_name: str,
  limits: door.Limits,
  accepting: Callable[[], bool] = lambda: True,
) -> Starlette:
  """Builds the ASGI application for one model.

  Args:
    versions: what is in service.
    model_name: under which it is asked for.
    limits: of a request.
    accepting: false once the server is about to stop; /readyz then says 503.
  """
  endpoint = _Endpoint(versions, model_name, limits)

  async def healthz(_: Request) -> Response:
    return Response('ok\n')

  async def readyz(_: Request) -> Response:
    ready = versions.ready and accepting()
    return Response('ok\n' if ready else 'not ready\n', 200 if ready else 503)

  return Starlette(
    routes=[
      Route('/healthz', healthz),
      Route('/readyz', readyz),
      Route(
        '/{path:path}',
        endpoint.answer,
        methods=['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      ),
    ]
  )


@dataclasses.dataclass(frozen=True)
class _Endpoint:
  versions: Versions
  model_name: str
  limits: door.Limits

  async def answer(self, request: Request) -> Response:
    try:
      return await self._route(request)
    except ClientDisconnect:
      return Response(status_code=499)
    except (ServingError, tf.errors.OpError) as error:
      code, text = code_and_text(error)
      if code >= 500:
        _LOG.error('%s %s: %s', request.method, request.url.path, text)
      return JSONResponse({'error': text}, code)

  async def _route(self, request: Request) -> Response:
    path = request.scope.get('raw_path', request.url.path.encode()).decode('ascii', 'replace')
    if not path.lower().startswith('/v1/'):
      raise HttpError(404, f'Not found: {path}')
    if request.method == 'POST' and (match := _POST.fullmatch(path)):
      name, version, label, verb = match.groups()
      if verb.lower() != 'predict':
        raise HttpError(501, f'{verb} is not implemented here. Ask with predict.')
      body = await _read_body(request, self.limits.body_bytes)
      return await run_in_threadpool(self._predict, name, version, label, body)
    if request.method == 'GET' and (match := _GET.fullmatch(path)):
      name, version, label, metadata = match.groups()
      if name is None:
        raise HttpError(400, 'Missing model name in request.')
      if metadata:
        raise HttpError(501, 'metadata is not implemented here.')
      return self._status(urllib.parse.unquote(name), version, label)
    raise HttpError(400, f'Malformed request: {request.method} {path}')

  def _predict(self, name: str, version: str | None, label: str | None, body: bytes) -> Response:
    name = urllib.parse.unquote(name)
    wanted = _version_number(version)
    _refuse_label(label)
    asked = f'Latest({name})' if wanted is None else f'Specific({name}, {wanted})'
    not_found = HttpError(404, f'Servable not found for request: {asked}')
    if name != self.model_name:
      raise not_found
    parsed = tensor_json.parse_body(body)
    try:
      with self.versions.use(wanted) as (number, servable):
        signature_name = parsed.get('signature_name') or signatures.SERVING_DEFAULT
        if not isinstance(signature_name, str) or signature_name not in servable.signatures:
          raise HttpError(
            400, f'Serving signature name: "{signature_name}" not found in signature def'
          )
        dtypes = {
          key: numpy_dtype(info) for key, info in servable.signatures[signature_name].inputs.items()
        }
        inputs = door.admit(tensor_json.read_inputs(parsed, dtypes), self.limits)
        outputs = servable.run(signature_name, inputs)
        headers = {MODEL_VERSION: str(number)}
        if servable.weights_sha256:
          headers[MODEL_SHA256] = servable.weights_sha256
    except VersionNotFoundError as error:
      raise not_found from error
    answer = tensor_json.write_outputs(outputs, row=tensor_json.ROW in parsed)
    # Not JSONResponse: it refuses the NaN that TensorFlow Serving writes.
    return Response(json.dumps(answer), media_type='application/json', headers=headers)

  def _status(self, name: str, version: str | None, label: str | None) -> Response:
    wanted = _version_number(version)
    _refuse_label(label)
    found = [row for row in self.versions.status() if wanted in (None, row.version)]
    if name != self.model_name or not found:
      suffix = '' if wanted is None else f' with version {wanted}'
      raise HttpError(404, f'Could not find any versions of model {name}{suffix}')
    return JSONResponse({'model_version_status': [_status_row(row) for row in found]})


def _status_row(row: VersionStatus) -> dict:
  return {
    'version': str(row.version),  # int64 is a string in the JSON form of a protobuf
    'state': row.state,
    'status': {'error_code': row.error_code, 'error_message': row.error_message},
  }


def _version_number(text: str | None) -> int | None:
  if text is None:
    return None
  number = int(text[:32])
  if number >= 1 << 63:
    raise HttpError(400, f'Failed to convert version: {text} to numeric.')
  return number


def _refuse_label(label: str | None) -> None:
  if label is not None:
    raise HttpError(400, f'Unrecognized servable version label: {urllib.parse.unquote(label)}')


async def _read_body(request: Request, limit: int) -> bytes:
  body = bytearray()
  received = 0
  declared = request.headers.get('content-length', '')
  too_long = declared.isdigit() and int(declared[:20]) > limit
  async for part in request.stream():
    received += len(part)
    too_long = too_long or received > limit
    if not too_long:
      body += part
    elif received > _DRAIN_BYTES:
      break
  if too_long:
    raise HttpError(413, f'Expected a body of at most {limit} bytes. Received: more.')
  return bytes(body)
