"""TensorFlow Serving's REST API: predict, classify, regress, status and metadata."""

import dataclasses
import json
import logging
import re
import time
import urllib.parse
from collections.abc import Callable

import tensorflow as tf
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from tensorflow_serving.apis import get_model_metadata_pb2

from schemas.errors import ServingError
from serving import example_json, identity, metrics, stats_page, status_error, tensor_json
from serving.calls import Answer, Call
from serving.inference import Inference
from serving.servable import numpy_dtype
from serving.served_models import Spec
from serving.signature_checks import UnknownSignatureError
from serving.status_error import (
  INTERNAL,
  INVALID_ARGUMENT,
  NOT_FOUND,
  UNIMPLEMENTED,
  StatusError,
)
from serving.versions import VersionStatus

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
  inference: Inference,
  timeout_seconds: float = 30.0,
  accepting: Callable[[], bool] = lambda: True,
) -> Starlette:
  """Builds the ASGI application.

  Args:
    inference: answers from the models in service.
    timeout_seconds: after which a request that still waits for its turn is given up;
      TensorFlow Serving's --rest_api_timeout_in_ms.
    accepting: false once the server is about to stop; /readyz then says 503.
  """
  endpoint = _Endpoint(inference, timeout_seconds)

  async def healthz(_: Request) -> Response:
    return Response('ok\n')

  async def readyz(_: Request) -> Response:
    ready = inference.models.ready and accepting()
    return Response('ok\n' if ready else 'not ready\n', 200 if ready else 503)

  async def prometheus(_: Request) -> Response:
    return Response(inference.metrics.text(), media_type=metrics.CONTENT_TYPE)

  async def stats(request: Request) -> Response:
    rows = inference.metrics.percentiles()
    # A browser says that it takes HTML; scripts say nothing, or that they take anything.
    if 'text/html' in request.headers.get('accept', ''):
      return HTMLResponse(stats_page.render(rows))
    return JSONResponse(rows)

  return Starlette(
    routes=[
      Route('/healthz', healthz),
      Route('/readyz', readyz),
      Route(metrics.PATH, prometheus),
      Route('/stats', stats),
      Route(
        '/{path:path}',
        endpoint.answer,
        methods=['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      ),
    ]
  )


@dataclasses.dataclass(frozen=True)
class _Endpoint:
  inference: Inference
  timeout_seconds: float

  async def answer(self, request: Request) -> Response:
    try:
      return await self._route(request)
    except ClientDisconnect:
      return Response(status_code=499)
    except (ServingError, tf.errors.OpError) as error:
      return _refusal(error, request)

  async def _route(self, request: Request) -> Response:
    path = request.scope.get('raw_path', request.url.path.encode()).decode('ascii', 'replace')
    if not path.lower().startswith('/v1/'):
      raise StatusError(NOT_FOUND, f'Not found: {path}')
    if request.method == 'POST' and (match := _POST.fullmatch(path)):
      name, version, label, verb = match.groups()
      asked = _Asked(
        verb.lower(),
        _spec(name, version, label),
        identity.request_id(request.headers.get(identity.REQUEST_ID)),
        time.perf_counter(),
        time.monotonic() + self.timeout_seconds,
      )
      body = await _read_body(request, self.inference.limits.body_bytes)
      return await run_in_threadpool(self._counted, asked, body, request)
    if request.method == 'GET' and (match := _GET.fullmatch(path)):
      name, version, label, metadata = match.groups()
      if name is None:
        raise StatusError(INVALID_ARGUMENT, 'Missing model name in request.')
      spec = _spec(name, version, label)
      return self._metadata(spec) if metadata else self._status(spec)
    raise StatusError(INVALID_ARGUMENT, f'Malformed request: {request.method} {path}')

  def _counted(self, asked: '_Asked', body: bytes, request: Request) -> Response:
    """Answers one request, and counts it whatever becomes of it."""
    name = asked.spec.name if asked.spec.name in self.inference.models.names else ''
    counted = self.inference.metrics
    try:
      with self.inference.arriving():
        answer, written = _VERBS[asked.verb](self.inference, asked, body)
        # Not JSONResponse: it refuses the NaN that TensorFlow Serving writes.
        text = json.dumps(written)
    except (ServingError, tf.errors.OpError) as error:
      code = status_error.code_and_text(error)[0]
      counted.add(metrics.REQUEST_COUNT, name, status_error.name(code), '', '')
      response = _refusal(error, request)
      response.headers[identity.REQUEST_ID] = asked.request_id
      return response
    except Exception as error:  # noqa: BLE001 - a client is owed an answer, and a count
      _LOG.exception('%s %s', request.method, request.url.path)
      counted.add(metrics.REQUEST_COUNT, name, status_error.name(INTERNAL), '', '')
      return JSONResponse({'error': f'Internal error: {type(error).__name__}'}, 500)
    labels = (str(answer.version), answer.signature_name)
    counted.add(metrics.REQUEST_COUNT, name, 'OK', *labels)
    counted.observe(
      metrics.REQUEST_LATENCY,
      (time.perf_counter() - asked.begin) * 1e6,
      name,
      asked.verb,
      metrics.REST,
      *labels,
    )
    return Response(
      text, media_type='application/json', headers=identity.of(answer, asked.request_id)
    )

  def _status(self, spec: Spec) -> Response:
    rows = [_status_row(row) for row in self.inference.models.status(spec)]
    return JSONResponse({'model_version_status': rows})

  def _metadata(self, spec: Spec) -> Response:
    lent, signatures = self.inference.metadata(spec)
    definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in signatures.items():
      definitions.signature_def[name].CopyFrom(signature)
    written = json_format.MessageToDict(
      definitions, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return JSONResponse(
      {
        'model_spec': {'name': lent.name, 'signature_name': '', 'version': str(lent.version)},
        'metadata': {'signature_def': written},
      }
    )


@dataclasses.dataclass(frozen=True)
class _Asked:
  verb: str
  spec: Spec
  request_id: str
  begin: float
  deadline: float

  def call(self, signature_name: str) -> Call:
    return Call(self.spec, signature_name, self.request_id, self.deadline)


def _predict(inference: Inference, asked: _Asked, body: bytes) -> tuple[Answer, dict]:
  parsed = tensor_json.parse_object(body)
  row = tensor_json.ROW in parsed

  # Called once the model and the signature are found: what is unknown is told first.
  def read(signature):
    dtypes = {key: numpy_dtype(info) for key, info in signature.inputs.items()}
    for dtype in dtypes.values():
      if dtype.name not in tensor_json.TYPES:
        raise StatusError(
          INVALID_ARGUMENT if row else UNIMPLEMENTED,
          f'Conversion of JSON Value to type: {dtype.name}',
        )
    return tensor_json.read_inputs(parsed, dtypes)

  try:
    answer = inference.predict(asked.call(parsed.get(tensor_json.SIGNATURE_NAME, '')), read)
  except UnknownSignatureError as error:
    raise StatusError(
      INVALID_ARGUMENT,
      f'Serving signature name: "{error.signature_name}" not found in signature def',
    ) from error
  return answer, tensor_json.write_outputs(answer.outputs, row=row)


def _classify(inference: Inference, asked: _Asked, body: bytes) -> tuple[Answer, dict]:
  parsed = tensor_json.parse_object(body)
  call = asked.call(parsed.get(tensor_json.SIGNATURE_NAME, ''))
  answer, result = inference.classify(call, example_json.read_input(parsed))
  return answer, example_json.write_classifications(result)


def _regress(inference: Inference, asked: _Asked, body: bytes) -> tuple[Answer, dict]:
  parsed = tensor_json.parse_object(body)
  call = asked.call(parsed.get(tensor_json.SIGNATURE_NAME, ''))
  answer, result = inference.regress(call, example_json.read_input(parsed))
  return answer, example_json.write_regressions(result)


_VERBS = {'predict': _predict, 'classify': _classify, 'regress': _regress}


def _refusal(error: Exception, request: Request) -> Response:
  code, text = status_error.http_code(error), status_error.code_and_text(error)[1]
  if code >= 500:
    _LOG.error('%s %s: %s', request.method, request.url.path, text)
  return JSONResponse({'error': text}, code)


def _status_row(row: VersionStatus) -> dict:
  return {
    'version': str(row.version),  # int64 is a string in the JSON form of a protobuf
    'state': row.state,
    'status': {'error_code': status_error.name(row.code), 'error_message': row.error_message},
  }


def _spec(name: str, version: str | None, label: str | None) -> Spec:
  name = urllib.parse.unquote(name)
  if label is not None:
    return Spec(name, label=urllib.parse.unquote(label))
  if version is None:
    return Spec(name)
  number = int(version[:32])
  if number >= 1 << 63:
    raise StatusError(INVALID_ARGUMENT, f'Failed to convert version: {version} to numeric.')
  return Spec(name, number)


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
    raise StatusError(
      INVALID_ARGUMENT, f'Expected a body of at most {limit} bytes. Received: more.', http=413
    )
  return bytes(body)
