"""How requests are put together: TensorFlow Serving's BatchingParameters, in its text format."""

import dataclasses
import functools
import pathlib

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from schemas.errors import ServingError

# Of session_bundle_config.proto; tensorflow-serving-api does not carry it.
_PACKAGE = 'tensorflow.serving'
_MESSAGE = 'BatchingParameters'
_WRAPPED = {
  'max_batch_size': 1,
  'batch_timeout_micros': 2,
  'max_enqueued_batches': 3,
  'num_batch_threads': 4,
  'max_execution_batch_size': 9,
}
_TYPES = descriptor_pb2.FieldDescriptorProto
# Upstream has settings that change nothing here: it names its threads and splits or pads.
_OTHERS = {
  'thread_pool_name': (5, _TYPES.TYPE_MESSAGE, '.google.protobuf.StringValue'),
  'allowed_batch_sizes': (6, _TYPES.TYPE_INT64, ''),
  'pad_variable_length_inputs': (7, _TYPES.TYPE_BOOL, ''),
  'enable_large_batch_splitting': (8, _TYPES.TYPE_MESSAGE, '.google.protobuf.BoolValue'),
}


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
  """Limits of dynamic batching.

  Attributes:
    max_batch_size: rows in one call of the model, at most. One request with more of
      them runs alone.
    batch_timeout_micros: longest wait, in microseconds, for requests that have arrived and
      are still being read. A request that is alone never waits.
    max_enqueued_batches: full batches that may wait; beyond them a request is refused.
    num_batch_threads: batches that run at once.
    allowed_batch_sizes: to which of them a batch is filled up; () leaves it as it is.
  """

  max_batch_size: int = 32
  batch_timeout_micros: int = 5000
  max_enqueued_batches: int = 64
  num_batch_threads: int = 1
  allowed_batch_sizes: tuple[int, ...] = ()

  def __post_init__(self):
    for field in ('max_batch_size', 'max_enqueued_batches', 'num_batch_threads'):
      if getattr(self, field) < 1:
        raise ServingError(f'{field}: expected at least 1. Received: {getattr(self, field)}.')
    if self.batch_timeout_micros < 0:
      raise ServingError(
        f'batch_timeout_micros: expected 0 or more. Received: {self.batch_timeout_micros}.'
      )
    sizes = self.allowed_batch_sizes
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != self.max_batch_size):
      raise ServingError(
        f'allowed_batch_sizes: expected ascending sizes that end with max_batch_size '
        f'({self.max_batch_size}). Received: {list(sizes)}.'
      )


def read(path: pathlib.Path | str) -> BatchingParameters:
  """Reads a file such as `max_batch_size { value: 32 }`.

  Raises:
    ServingError: it cannot be read, or its values make no sense.
  """
  try:
    found = text_format.Parse(pathlib.Path(path).read_text(encoding='utf-8'), _message()())
  except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
    raise ServingError(
      f'{path}: expected BatchingParameters in their text format, such as '
      f'max_batch_size {{ value: 32 }}. Received: {error}.'
    ) from error
  given = {
    name: getattr(found, name).value
    for name in _WRAPPED
    if found.HasField(name) and name != 'max_execution_batch_size'
  }
  if found.allowed_batch_sizes:
    given['allowed_batch_sizes'] = tuple(found.allowed_batch_sizes)
  try:
    return BatchingParameters(**given)
  except ServingError as error:
    raise ServingError(f'{path}: {error}') from error


@functools.cache
def _message():
  pool = descriptor_pool.DescriptorPool()
  from google.protobuf import wrappers_pb2

  wrappers = descriptor_pb2.FileDescriptorProto()
  wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
  pool.Add(wrappers)
  file = descriptor_pb2.FileDescriptorProto(
    name='batching_parameters.proto',
    package=_PACKAGE,
    syntax='proto3',
    dependency=[wrappers_pb2.DESCRIPTOR.name],
  )
  message = file.message_type.add(name=_MESSAGE)
  fields = _OTHERS | {
    name: (number, _TYPES.TYPE_MESSAGE, '.google.protobuf.Int64Value')
    for name, number in _WRAPPED.items()
  }
  for name, (number, kind, type_name) in fields.items():
    repeated = name == 'allowed_batch_sizes'
    message.field.add(
      name=name,
      number=number,
      type=kind,
      type_name=type_name or None,
      label=_TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL,
    )
  pool.Add(file)
  return message_factory.GetMessageClass(pool.FindMessageTypeByName(f'{_PACKAGE}.{_MESSAGE}'))
