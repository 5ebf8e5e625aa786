"""What went wrong, as a canonical code: what it is to a client of REST and of gRPC."""

import grpc
import tensorflow as tf

from schemas.errors import ServingError
from serving.door import RefusedError
from serving.tensor_json import FormatError

# Canonical error codes, as TensorFlow numbers them.
INVALID_ARGUMENT = tf.errors.INVALID_ARGUMENT
FAILED_PRECONDITION = tf.errors.FAILED_PRECONDITION
NOT_FOUND = tf.errors.NOT_FOUND
RESOURCE_EXHAUSTED = tf.errors.RESOURCE_EXHAUSTED
UNIMPLEMENTED = tf.errors.UNIMPLEMENTED
UNAVAILABLE = tf.errors.UNAVAILABLE
DEADLINE_EXCEEDED = tf.errors.DEADLINE_EXCEEDED
INTERNAL = tf.errors.INTERNAL
OK = 0

_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_GRPC = {code.value[0]: code for code in grpc.StatusCode}
# http_rest_api_handler of TensorFlow Serving, by canonical error code.
_HTTP = {
  OK: 200,
  tf.errors.INVALID_ARGUMENT: 400,
  tf.errors.FAILED_PRECONDITION: 400,
  tf.errors.OUT_OF_RANGE: 400,
  tf.errors.UNAUTHENTICATED: 401,
  tf.errors.PERMISSION_DENIED: 403,
  tf.errors.NOT_FOUND: 404,
  tf.errors.ALREADY_EXISTS: 409,
  tf.errors.ABORTED: 409,
  tf.errors.RESOURCE_EXHAUSTED: 429,
  tf.errors.CANCELLED: 499,
  tf.errors.UNIMPLEMENTED: 501,
  tf.errors.UNAVAILABLE: 503,
  tf.errors.DEADLINE_EXCEEDED: 504,
}
_LONGEST_TEXT = 1024


class StatusError(ServingError):
  """A request that is not answered, for a reason with a canonical code.

  Attributes:
    code: canonical, such as INVALID_ARGUMENT.
    http: the HTTP code where it is not the one of `code`.
  """

  def __init__(self, code: int, text: str, http: int | None = None):
    super().__init__(text)
    self.code = code
    self.http = http


def code_and_text(error: Exception) -> tuple[int, str]:
  """Returns the canonical code and the text that a client is told."""
  if isinstance(error, StatusError):
    return error.code, str(error)
  if isinstance(error, FormatError | RefusedError):
    return INVALID_ARGUMENT, str(error)
  if isinstance(error, tf.errors.OpError):
    # A graph's message can quote its input; a client needs its beginning.
    return error.error_code, error.message[:_LONGEST_TEXT]
  return INTERNAL, str(error)


def http_code(error: Exception) -> int:
  """Returns the HTTP code of an error."""
  if isinstance(error, StatusError) and error.http is not None:
    return error.http
  return _HTTP.get(code_and_text(error)[0], 500)


def grpc_code(code: int) -> grpc.StatusCode:
  """Returns gRPC's name of a canonical code."""
  return _GRPC.get(code, grpc.StatusCode.UNKNOWN)


def name(code: int) -> str:
  """Returns the name of a canonical code, such as INVALID_ARGUMENT."""
  return _NAMES.get(code, 'UNKNOWN')
