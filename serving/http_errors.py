"""What an exception means to a client: TensorFlow Serving's HTTP codes and error body."""

import tensorflow as tf

from schemas.errors import ServingError
from serving.door import RefusedError
from serving.tensor_json import FormatError

# http_rest_api_handler of TensorFlow Serving, by canonical error code.
_HTTP = {
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


class HttpError(ServingError):
  """An answer other than 200.

  Attributes:
    code: of HTTP.
  """

  def __init__(self, code: int, text: str):
    super().__init__(text)
    self.code = code


def code_and_text(error: ServingError | tf.errors.OpError) -> tuple[int, str]:
  """Returns the HTTP code and the text of the error body."""
  if isinstance(error, HttpError):
    return error.code, str(error)
  if isinstance(error, FormatError | RefusedError):
    return 400, str(error)
  if isinstance(error, tf.errors.OpError):
    # A graph's message can quote its input; a client needs its beginning.
    return _HTTP.get(error.error_code, 500), error.message[:_LONGEST_TEXT]
  return 500, str(error)
