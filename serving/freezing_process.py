"""A version's graph, made ready in a process of its own, while this one answers requests.

TensorFlow's loader and the conversion hold Python's lock for tenths of a second, take seconds
of a processor, and leave memory behind. In another process, with a lower priority, they do
none of that to requests.
"""

import collections
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
from typing import IO, Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving import frozen_graph
from serving.frozen_graph import FrozenGraph, Part

_NICENESS = 10
# That are told of a process that ended early.
_LINES = 5
_LENGTH = struct.Struct('<Q')


def freeze(path: pathlib.Path) -> FrozenGraph:
  """Does what frozen_graph.freeze does, in a new process.

  Raises:
    RuntimeError, tf.errors.OpError: the version cannot be loaded, or the process ended early.
    OSError: no process can be started.
  """
  command = [sys.executable, '-m', 'serving.freezing_process', os.path.abspath(path)]
  # A GPU is the server's.
  environment = {'TF_CPP_MIN_LOG_LEVEL': '2', **os.environ, 'CUDA_VISIBLE_DEVICES': '-1'}
  said: collections.deque[bytes] = collections.deque(maxlen=_LINES)
  with subprocess.Popen(
    command,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    env=environment,
  ) as process:
    assert process.stdout is not None
    assert process.stderr is not None
    listener = threading.Thread(target=said.extend, args=[process.stderr], daemon=True)
    listener.start()
    try:
      return _read(process.stdout)
    except EOFError:
      pass
    except BaseException:
      process.kill()
      raise
    finally:
      # Before the streams are closed: whoever reads one must have come to its end.
      process.wait()
      listener.join()
  hint = 'It may have run out of memory. ' if process.returncode == -signal.SIGKILL else ''
  last = b''.join(said).decode(errors='replace').strip() or 'nothing'
  raise RuntimeError(
    f'the process that reads a new version ended with exit code {process.returncode}. {hint}'
    f'It said last: {last}'
  )


def _read(stream: IO[bytes]) -> FrozenGraph:
  head = json.loads(_read_one(stream))
  if 'error' in head:
    raise _error(head)
  signatures = _read_signatures(stream)
  parts = [
    Part(
      _read_signatures(stream),
      [graph_pb2.GraphDef.FromString(_read_one(stream)) for _ in range(part['pieces'])],
      part['begin'],
      part['optimise'],
    )
    for part in head['parts']
  ]
  return FrozenGraph(signatures, parts)


def _read_signatures(stream: IO[bytes]) -> frozen_graph.Signatures:
  return dict(meta_graph_pb2.MetaGraphDef.FromString(_read_one(stream)).signature_def)


def _read_one(stream: IO[bytes]) -> bytes:
  (length,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
  return _read_exactly(stream, length)


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
  data = stream.read(length)
  if len(data) < length:
    raise EOFError
  return data


def _error(head: dict[str, Any]) -> Exception:
  if head['code'] is None:
    return RuntimeError(head['error'])
  return tf.compat.v1.errors.exception_type_from_error_code(head['code'])(None, None, head['error'])


def _write(stream: IO[bytes], path: pathlib.Path) -> None:
  try:
    frozen = frozen_graph.freeze(path)
  except tf.errors.OpError as error:
    _write_one(stream, json.dumps({'error': error.message, 'code': error.error_code}).encode())
  except (OSError, ValueError, RuntimeError) as error:
    _write_one(stream, json.dumps({'error': str(error), 'code': None}).encode())
  else:
    told = [
      {'pieces': len(part.pieces), 'begin': part.begin, 'optimise': part.optimise}
      for part in frozen.parts
    ]
    _write_one(stream, json.dumps({'parts': told}).encode())
    _write_signatures(stream, frozen.signatures)
    for part in frozen.parts:
      _write_signatures(stream, part.calls)
      for piece in part.pieces:
        _write_one(stream, piece.SerializeToString())


def _write_signatures(stream: IO[bytes], signatures: frozen_graph.Signatures) -> None:
  named = meta_graph_pb2.MetaGraphDef(signature_def=signatures)
  _write_one(stream, named.SerializeToString())


def _write_one(stream: IO[bytes], data: bytes) -> None:
  stream.write(_LENGTH.pack(len(data)) + data)


def main() -> None:
  """Writes the graph of the version at the path that is given to the standard output."""
  os.nice(_NICENESS)
  tf.get_logger().setLevel('ERROR')
  # Whatever else is printed goes where errors go.
  with os.fdopen(os.dup(sys.stdout.fileno()), 'wb') as stream:
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _write(stream, pathlib.Path(sys.argv[1]))


if __name__ == '__main__':
  main()
