"""Dynamic batching in the server beside batching in the exported graph, and none.

    .venv/bin/python benchmarks/batching_place.py [--models digits b0-64] [--rounds 3]

One export three times: as it is, behind the server's batching and without it, and wrapped in
TensorFlow's tf.nondifferentiable_batch_function (num_batch_threads 1, batches of up to 32,
a wait of 0 or 5 ms), served without the server's. The same clients ask by REST, one and
sixteen, in turns. What batches in the graph would batch in TensorFlow Serving, too; but its
ops hold resources, so its weights cannot be made constants (serving/frozen_servable.py).
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

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import photo_folds
import random_exports
from serving_speed import MODELS, ask, wait

SERVER, NONE, GRAPH, GRAPH_WAITS = (
  'in the server', 'none', 'in the graph, no wait', 'in the graph, 5 ms',
)  # fmt: skip
PORTS = {SERVER: 18311, NONE: 18312, GRAPH: 18313, GRAPH_WAITS: 18314}
WAIT_MICROS = {GRAPH: 0, GRAPH_WAITS: 5000}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--models', nargs='+', choices=list(MODELS), default=['digits', 'b0-64'])
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--seconds', type=float, default=5.0, help='of each measurement')
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow')
  for name in args.models:
    with tempfile.TemporaryDirectory(prefix='batching-') as folder:
      compare(pathlib.Path(folder), name, args)


def compare(folder: pathlib.Path, name: str, args: argparse.Namespace) -> None:
  """Prints the table of one model."""
  backbone, size, pixels = MODELS[name]
  plain = folder / 'plain/1'
  with photo_folds.quiet():
    random_exports.write(folder, plain, backbone, size)
    for micros in WAIT_MICROS.values():
      wrap(plain, folder / str(micros) / '1', micros)
  body = folder / 'body'
  text = base64.b64encode(random_exports.photo(0, pixels, pixels)).decode()
  body.write_text(json.dumps({'instances': [{'b64': text}]}))
  processes = []
  found: dict[tuple[str, int], list[dict]] = {}
  try:
    for arm, port in PORTS.items():
      base = folder / str(WAIT_MICROS[arm]) if arm in WAIT_MICROS else plain.parent
      command = [sys.executable, '-m', 'pipeline', 'serve', '--directory', base, '--name', 'served']
      command += ['--port', port, '--grpc-port', 0, *([] if arm == SERVER else ['--no-batching'])]
      processes.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL))
    for port in PORTS.values():
      wait(f'http://127.0.0.1:{port}/readyz')
    addresses = {
      arm: ('rest', f'127.0.0.1:{port}', '/v1/models/served:predict', body)
      for arm, port in PORTS.items()
    }
    for address in addresses.values():
      ask(address, 16, 1.0)
    for _ in range(args.rounds):
      for clients in (1, 16):
        for arm, address in addresses.items():
          found.setdefault((arm, clients), []).append(ask(address, clients, args.seconds))
  finally:
    for process in processes:
      process.terminate()
    for process in processes:
      process.wait()
  print(f'{name:26}{"clients":>8}{"req/s":>8}{"p50 ms":>8}{"p99 ms":>8}   of the server')
  for clients in (1, 16):
    for arm in PORTS:
      rounds, ours = found[arm, clients], found[SERVER, clients]
      rate, p50, p99 = (
        statistics.median(one[key] for one in rounds) for key in ('rate', 'p50', 'p99')
      )
      ratio = statistics.median(
        one['rate'] / other['rate'] for one, other in zip(rounds, ours, strict=True)
      )
      print(f'  {arm:24}{clients:8}{rate:8.0f}{p50:8.1f}{p99:8.1f}{ratio:11.2f}')


def wrap(export: pathlib.Path, target: pathlib.Path, timeout_micros: int) -> None:
  """Writes the export once more, its requests put together by an op of the graph."""
  import tensorflow as tf

  from schemas import signatures

  loaded = tf.saved_model.load(str(export))
  answer = loaded.signatures[signatures.SERVING_DEFAULT]
  names = sorted(answer.structured_outputs)

  @tf.nondifferentiable_batch_function(
    num_batch_threads=1, max_batch_size=32, batch_timeout_micros=timeout_micros,
    max_enqueued_batches=64,
  )  # fmt: skip
  def together(image_bytes):
    outputs = answer(image_bytes=image_bytes)
    return [outputs[name] for name in names]

  @tf.function(
    input_signature=[tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)], autograph=False
  )
  def serve(image_bytes):
    return dict(zip(names, together(image_bytes), strict=True))

  loaded.serve = serve
  options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
  named = {signatures.SERVING_DEFAULT: serve}
  tf.saved_model.save(loaded, str(target), signatures=named, options=options)


if __name__ == '__main__':
  main()
