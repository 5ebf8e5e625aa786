"""Bodies, protos and images as nobody should send them, drawn by a seeded generator."""

import base64
import json
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models import golden_images
from tests.unit.serving import exports

Draw = np.random.Generator

_LEAVES = (
  None, True, 0, -1, 1 << 63, 10**400, 1e308, float('nan'), float('inf'), '', 'text', '\ud800',
  [], {}, {'b64': ''}, {'b64': '===='}, {'b64': 7}, {'b64': 'AAAA', 'more': 1}, [[], [[]]],
)  # fmt: skip
_KEYS = ('instances', 'inputs', 'signature_name', 'examples', 'image_bytes', 'b64', '', 'other')


def images() -> list[bytes]:
  """One of each kind, small ones."""
  return [one.encoded for one in golden_images.make() if len(one.encoded) < 5_000]


def mutated(data: bytes, draw: Draw) -> bytes:
  """Flips, cuts, doubles or overwrites some of the bytes."""
  changed = bytearray(data)
  for _ in range(draw.integers(1, 3)):
    if not changed:
      return bytes(changed)
    at = int(draw.integers(len(changed)))
    # Most of what can go wrong stands at the head.
    at = at if draw.random() < 0.5 else at % 64 % len(changed)
    # A flipped bit is often answered; a cut seldom is.
    kind = draw.choice([0, 0, 0, 0, 1, 2, 3, 4])
    if kind == 0:
      changed[at] ^= 1 << draw.integers(8)
    elif kind == 1:
      del changed[at:]
    elif kind == 2:
      changed[at:at] = changed[at : at + 40]
    elif kind == 3:
      changed[at : at + 4] = draw.choice(
        [b'\xff\xff\xff\xff', b'\x00\x00\x00\x00', b'\x7f\xff\xff\xff']
      )
    else:
      del changed[at : at + int(draw.integers(1, 30))]
  return bytes(changed)


def value(draw: Draw, depth: int = 0):
  """A JSON value of any kind."""
  kind = draw.integers(4)
  if depth < 4 and kind == 0:
    return [value(draw, depth + 1) for _ in range(draw.integers(4))]
  if depth < 4 and kind == 1:
    return {str(draw.choice(_KEYS)): value(draw, depth + 1) for _ in range(draw.integers(3))}
  return _LEAVES[draw.integers(len(_LEAVES))]


def bodies(draw: Draw, count: int) -> Iterator[bytes]:
  """Bodies of REST requests."""
  known = images()
  fixed = [
    b'', b'{', b'null', b'[]', b'\x00', b'\xff\xfe', b'[' * 100_000, b'{"a":' * 50_000,
    b'{"instances":' + b'[' * 900 + b']' * 900 + b'}', b'{"instances": [' + b'9' * 5_000 + b']}',
    b'{"instances": [1e999999]}', b'{"instances": [{"b64": "' + b'A' * 100_003 + b'"}]}',
    b'{"instances": [' + b'"",' * 5_000 + b'""]}', b'{"inputs": {"image_bytes": {"b64": "!"}}}',
    b'{"instances": ["\\ud800"]}', b'{"signature_name": {}, "instances": [1]}',
    b'{"signature_name": "\\ud800", "instances": [{"b64": ""}]}',
  ]  # fmt: skip
  yield from fixed[:count]
  for _ in range(max(count - len(fixed), 0)):
    kind = draw.integers(3)
    if kind == 0:
      body = {str(draw.choice(_KEYS)): value(draw) for _ in range(draw.integers(1, 4))}
      yield json.dumps(body).encode()
      continue
    data = base64.b64encode(mutated(known[draw.integers(len(known))], draw)).decode()
    whole = json.dumps({'instances': [{'b64': data}]}).encode()
    yield whole if kind == 1 else mutated(whole, draw)


def protos(draw: Draw, count: int, name: str) -> Iterator[bytes]:
  """Serialised PredictRequests, whole and broken."""
  known = images()
  for _ in range(count):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    key = str(draw.choice(['image_bytes', 'image_bytes', 'examples', '', 'other']))
    if key == 'examples':
      request.model_spec.signature_name = 'serving_examples'
    proto = request.inputs[key]
    data = mutated(known[draw.integers(len(known))], draw)
    if key == 'examples':
      data = mutated(exports.example(data, 'id'), draw)
    proto.dtype = tf.string.as_datatype_enum
    proto.string_val.append(data)
    proto.tensor_shape.dim.add(size=1)
    if draw.random() < 0.6:
      _distort(proto, data, draw)
    serialised = request.SerializeToString()
    yield mutated(serialised, draw) if draw.random() < 0.3 else serialised


def _distort(proto, data: bytes, draw: Draw) -> None:
  """Gives a tensor another type, another shape or other values."""
  kind = draw.integers(5)
  if kind == 0:
    proto.dtype = int(draw.choice([*range(26), 1 << 20]))
  elif kind == 1:
    del proto.tensor_shape.dim[:]
    for _ in range(draw.integers(4)):
      proto.tensor_shape.dim.add(size=int(draw.choice([1, 0, 2, -1, 1 << 40, (1 << 63) - 1])))
  elif kind == 2:
    proto.tensor_shape.unknown_rank = True
  elif kind == 3:
    proto.tensor_content = data[:50]
  else:
    proto.float_val.extend([1.5, float('nan')])
    proto.string_val.extend([data] * draw.integers(3))
