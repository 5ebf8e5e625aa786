"""The embedded server beside what people write instead, and beside what the model could do.

    .venv/bin/python benchmarks/serving_speed.py [--models digits b0-64 b0-224] [--rounds 3]

For each model, in one run and in turns: FastAPI with a Keras model loaded at start and one
call a request (naive_server.py), Sightline's server by REST and by gRPC, and another of it with
`--backend openvino`. Clients send one JPEG a request, one client and sixteen, as fast as they are
answered; the clients share the machine's processors with the server. The ceiling is the export
in process, run by TensorFlow, sixteen images a call, without any server. Medians of the rounds;
ratios are what counts.
"""

import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import httpx
import photo_folds
import random_exports

HERE = pathlib.Path(__file__).parent
# Backbone, pixels of the network, pixels of the photos.
MODELS = {
  'digits': ('efficientnet_small', 32, 32),
  'b0-64': ('efficientnet_b0', 64, 96),
  'b0-224': ('efficientnet_b0', 224, 256),
}
NAIVE, REST, GRPC = 'FastAPI, one call a request', 'Sightline, REST', 'Sightline, gRPC'
OPENVINO = 'Sightline, REST, OpenVINO'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--models', nargs='+', choices=list(MODELS), default=list(MODELS))
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--seconds', type=float, default=5.0, help='of each measurement')
  parser.add_argument('--clients', nargs='+', type=int, default=[1, 16])
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras', 'fastapi', 'uvicorn', 'grpcio')
  for name in args.models:
    with tempfile.TemporaryDirectory(prefix='speed-') as folder:
      show(name, *measure(pathlib.Path(folder), name, args))


def measure(folder: pathlib.Path, name: str, args: argparse.Namespace) -> tuple[dict, float]:
  """Returns the rounds by (arm, clients), and images a second of the ceiling."""
  backbone, size, pixels = MODELS[name]
  with photo_folds.quiet():
    model = random_exports.write(folder, folder / 'served/1', backbone, size)
    model.save(folder / 'model.keras')
  photo = random_exports.photo(0, pixels, pixels)
  bodies = write_bodies(folder, photo)
  found: dict[tuple[str, int], list[dict]] = {}
  with Servers(folder, size) as servers:
    addresses = {
      NAIVE: ('rest', servers.naive, '/predict', bodies[NAIVE]),
      REST: ('rest', servers.rest, '/v1/models/served:predict', bodies[REST]),
      GRPC: ('grpc', servers.grpc, '-', bodies[GRPC]),
      OPENVINO: ('rest', servers.openvino, '/v1/models/served:predict', bodies[REST]),
    }
    for arm in addresses:
      ask(addresses[arm], max(args.clients), 1.0)
    for _ in range(args.rounds):
      for clients in args.clients:
        for arm, address in addresses.items():
          found.setdefault((arm, clients), []).append(ask(address, clients, args.seconds))
    metrics = httpx.get(f'http://{servers.rest}/monitoring/prometheus/metrics').text
  rows, calls = (
    float(metrics.split(f':sightline:serving:batch_size_{part} ')[1].split('\n')[0])
    for part in ('sum', 'count')
  )
  print(f'{name}: {rows / calls:.1f} images a call over all')
  return found, ceiling(folder / 'served/1', photo)


def write_bodies(folder: pathlib.Path, photo: bytes) -> dict[str, pathlib.Path]:
  """Writes what the clients send."""
  import tensorflow as tf
  from tensorflow_serving.apis import predict_pb2

  text = base64.b64encode(photo).decode()
  request = predict_pb2.PredictRequest()
  request.model_spec.name = 'served'
  request.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto([photo]))
  written = {
    NAIVE: json.dumps({'image': text}).encode(),
    REST: json.dumps({'instances': [{'b64': text}]}).encode(),
    GRPC: request.SerializeToString(),
  }
  paths = {}
  for number, (arm, body) in enumerate(written.items()):
    paths[arm] = folder / f'body-{number}'
    paths[arm].write_bytes(body)
  return paths


class Servers:
  """The servers, each in a process of its own; attributes are addresses."""

  def __init__(self, folder: pathlib.Path, size: int):
    self.naive, self.rest, self.grpc, self.openvino = (
      f'127.0.0.1:{port}' for port in range(18301, 18305)
    )
    serve = ['-m', 'pipeline', 'serve', '--directory', folder / 'served']
    self._commands = [
      [HERE / 'naive_server.py', folder / 'model.keras', size, 18301],
      [*serve, '--port', 18302, '--grpc-port', 18303],
      [*serve, '--port', 18304, '--grpc-port', 0, '--backend', 'openvino'],
    ]

  def __enter__(self) -> 'Servers':
    self._processes = [
      subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL)
      for command in self._commands
    ]
    ours = [f'http://{address}/readyz' for address in (self.rest, self.openvino)]
    for url in (f'http://{self.naive}/docs', *ours):
      wait(url)
    return self

  def __exit__(self, *_) -> None:
    for process in self._processes:
      process.terminate()
      process.wait()


def wait(url: str) -> None:
  """Returns when a server answers there."""
  until = time.monotonic() + 180
  while True:
    try:
      if httpx.get(url).status_code == 200:
        return
    except httpx.TransportError:
      pass
    if time.monotonic() > until:
      raise SystemExit(f'{url}: no answer within 180 s')
    time.sleep(0.2)


def ask(address: tuple, clients: int, seconds: float) -> dict:
  """Returns what clients in a process of their own saw."""
  command = [sys.executable, HERE / 'load_generator.py', *address]
  command += ['--clients', clients, '--seconds', seconds]
  done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
  found = json.loads(done.stdout)
  if found['failures']:
    raise SystemExit(f'{address}: {found["failures"]} requests failed')
  return found


def ceiling(export: pathlib.Path, photo: bytes, together: int = 16) -> float:
  """Returns the images a second of the export in process, many a call."""
  import numpy as np

  from schemas import signatures
  from serving.frozen_servable import FrozenServable

  with photo_folds.quiet():
    servable = FrozenServable(export)
  images = np.array([photo] * together, object)
  for _ in range(3):
    servable.run(signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: images})
  count, begin = 0, time.perf_counter()
  while (took := time.perf_counter() - begin) < 5:
    servable.run(signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: images})
    count += together
  servable.close()
  return count / took


def show(name: str, found: dict, highest: float) -> None:
  """Prints the table of one model."""
  print(f'{name}: the export in process, 16 images a call: {highest:.0f} images/s')
  print(f'  {"":28}{"clients":>8}{"req/s":>8}{"p50 ms":>8}{"p99 ms":>8}', end='')
  print(f'{"req/s":>9}{"p99":>7}   of FastAPI, {"of the ceiling":>14}')
  for (arm, clients), rounds in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
    middle = {key: statistics.median(one[key] for one in rounds) for key in ('rate', 'p50', 'p99')}
    naive = found[NAIVE, clients]
    ratios = {
      key: statistics.median(
        one[key] / other[key] for one, other in zip(rounds, naive, strict=True)
      )
      for key in ('rate', 'p99')
    }
    print(
      f'  {arm:28}{clients:8}{middle["rate"]:8.0f}{middle["p50"]:8.1f}{middle["p99"]:8.1f}'
      f'{ratios["rate"]:9.2f}{ratios["p99"]:7.2f}{"":15}{middle["rate"] / highest:12.2f}'
    )


if __name__ == '__main__':
  main()
