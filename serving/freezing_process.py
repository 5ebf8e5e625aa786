"""A version's graph, made ready in a process of its own, while this one answers requests.

TensorFlow's loader and the conversion hold Python's lock for tenths of a second, take seconds
of a processor, and leave memory behind. In another process, with a lower priority, they do
none of that to requests.
"""

import collections
import contextlib
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
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving import frozen_graph
from serving.frozen_graph import FrozenGraph, Part
from serving.servable import NotNowError

_NICENESS = 10
# That are told of a process that ended early.
_LINES = 5
_LENGTH = struct.Struct('<Q')
# What a stream ends in that breaks off, or holds something else.
_UNREADABLE = (EOFError, ValueError, KeyError, TypeError, OverflowError, MemoryError, DecodeError)
_RUNNING: set[subprocess.Popen[bytes]] = set()


def freeze(path: pathlib.Path) -> FrozenGraph:
  """Does what frozen_graph.freeze does, in a new process.

  Raises:
    RuntimeError, tf.errors.OpError: the version cannot be loaded, or the process broke off.
    NotNowError: no process can be started, or it was killed.
  """
  reading, writing = os.pipe()
  with os.fdopen(reading, 'rb') as stream:
    try:
      process = _start(path, writing)
    except OSError as error:
      raise NotNowError(f'{path}: no process can be started to read it: {error}') from error
    finally:
      os.close(writing)
    said: collections.deque[bytes] = collections.deque(maxlen=_LINES)
    listener = threading.Thread(target=said.extend, args=[process.stderr or []], daemon=True)
    listener.start()
    _RUNNING.add(process)
    try:
      return _read(stream)
    except _UNREADABLE:
      stream.close()  # If it still writes, that ends it.
    except BaseException:
      process.kill()
      raise
    finally:
      process.wait()
      listener.join()
      _RUNNING.discard(process)
      for pipe in (process.stdin, process.stderr):
        if pipe is not None:
          pipe.close()
  last = b''.join(said).decode(errors='replace').strip() or 'nothing'
  if process.returncode == -signal.SIGKILL:
    raise NotNowError(
      f'{path}: the process that reads it was killed; there may be too little memory. It is tried '
      'again.'
    )
  raise RuntimeError(
    f'the process that reads a new version ended with exit code {process.returncode}. '
    f'It said last: {last}'
  )


def end() -> None:
  """Ends the processes that this one has at work: for a server that stops."""
  for process in tuple(_RUNNING):
    process.kill()


def _start(path: pathlib.Path, writing: int) -> subprocess.Popen[bytes]:
  return subprocess.Popen(
    # -P: nothing in the folder that the server was started in is taken for a module.
    [sys.executable, '-P', '-m', 'serving.freezing_process', os.path.abspath(path), str(writing)],
    # Its end tells the process that this one is gone.
    stdin=subprocess.PIPE,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    pass_fds=[writing],
    # Ctrl-C is for the server alone. Not a new session: Linux gives each (sched(7), autogroup)
    # the same share of the processors, however nice it is.
    process_group=0,
    env={
      'TF_CPP_MIN_LOG_LEVEL': '2',
      **os.environ,
      'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
      # A GPU is the server's.
      'CUDA_VISIBLE_DEVICES': '-1',
    },
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
  """Writes the graph of the version at a path to a pipe whose number is given."""
  path, writing = pathlib.Path(sys.argv[1]), int(sys.argv[2])
  # The thread that started this one may be niced already.
  os.nice(max(0, _NICENESS - os.nice(0)))
  with contextlib.suppress(OSError):
    # Where memory runs out it is this process that goes, and not the server.
    pathlib.Path('/proc/self/oom_score_adj').write_text('1000')
  threading.Thread(target=_end_with_the_server, daemon=True).start()
  tf.get_logger().setLevel('ERROR')
  with os.fdopen(writing, 'wb') as stream:
    _write(stream, path)


def _end_with_the_server() -> None:
  # Not through sys.stdin, whose lock is wanted when this process ends.
  os.read(0, 1)
  os._exit(1)


if __name__ == '__main__':
  main()
