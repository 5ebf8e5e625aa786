"""One export behind TensorFlow, OpenVINO, and OpenVINO in 8 bits: speed, size, memory, accuracy.

    .venv/bin/python benchmarks/serving_backends.py [--models digits b0-64 b0-224]
        [--run RUN|VERSION|FOLDER] [--seconds 4] [--rounds 3]

For each model, in one run and in turns: one image a call in process (calls of one after the
other, so that none finds another's threads still spinning), and one client that sends one image a
request, by REST and by gRPC, to a server in a process of its own (the measurements alternate; the
client shares the processors). TensorFlow runs the export as it is, which is what TensorFlow
Serving does, and with its weights as constants, which is what `sightline serve` does. Medians of
the rounds; the ratios to the first are what counts. The networks have random weights, but for
that of --run, whose accuracy on test and paired loss in 8 bits are measured as well. The goal is
three times TensorFlow's requests a second, end to end.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import photo_folds
import random_exports
import serving_speed

AS_EXPORTED, CONSTANTS = 'TensorFlow', 'TensorFlow, const.'
OPENVINO, INT8 = 'OpenVINO', 'OpenVINO int8'
PROTOCOLS = ('rest', 'grpc')
MODEL = 'served'
PORT = 18311
CALLS = 40
GOAL = 3.0


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--models', nargs='*', choices=list(serving_speed.MODELS), default=[])
  parser.add_argument('--run', help='a trained model as well: run, version, or folder of either')
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--seconds', type=float, default=4.0, help='of each measurement')
  parser.add_argument('--calibrate', type=int, default=64, help='images for 8 bits')
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'keras', 'openvino', 'nncf')
  if args.run:
    with tempfile.TemporaryDirectory(prefix='backends-') as name:
      compare_trained(pathlib.Path(name), args)
  for model in args.models or ([] if args.run else serving_speed.MODELS):
    with tempfile.TemporaryDirectory(prefix='backends-') as name:
      compare_random(pathlib.Path(name), model, args)


def compare_random(folder: pathlib.Path, name: str, args: argparse.Namespace) -> None:
  """Measures a network with random weights."""
  backbone, size, side = serving_speed.MODELS[name]
  export = folder / 'export'
  with photo_folds.quiet():
    # Elsewhere: a process that made an export and converts one crashes when it ends.
    writing = multiprocessing.get_context('spawn').Process(
      target=random_exports.write, args=(folder, export, backbone, size)
    )
    writing.start()
    writing.join()
    photos = [random_exports.photo(seed, side, side) for seed in range(args.calibrate)]
    bases = write_versions(folder, export, photos)
  show(f'{name}: {backbone} at {size} pixels, random weights', measure(bases, photos[0], args))


def compare_trained(folder: pathlib.Path, args: argparse.Namespace) -> None:
  """Measures the model of a run, and what 8 bits cost it on test."""
  import training_records

  from models import records
  from pipeline import other_formats
  from pipeline.diagnosis import subject
  from schemas.config import FormatsConfig

  with photo_folds.quiet():
    of_run = subject.find(args.run)
    limits = FormatsConfig()
    wanted = other_formats.Wanted('openvino', False, folder / 'float32')
    exact = other_formats.write(of_run, wanted, limits)
    wanted = other_formats.Wanted('openvino', True, folder / 'int8')
    eight = other_formats.write(of_run, wanted, limits)
    files = records.record_files(of_run.test_records)
    images = [image for _, image, _ in training_records.read(files)]
    files = records.record_files(of_run.train_records)
    train = [image for _, image, _ in training_records.read(files)]
    bases = write_versions(folder, of_run.published, train[: args.calibrate])
  show(f'run {of_run.run_id}', measure(bases, images[0], args))
  print(f'  OpenVINO on test: {exact.parity.in_words()}')
  print(f'  int8 on test: {eight.parity.in_words()}')
  assert eight.loss is not None
  print(f'  int8, paired loss: {eight.loss.verdict}, {eight.loss.in_words()}')


def write_versions(
  folder: pathlib.Path, export: pathlib.Path, images: list[bytes]
) -> dict[str, pathlib.Path]:
  """Writes the export for each arm, two of them with a network of OpenVINO's; base folders."""
  from models.formats import int8, openvino_file
  from models.formats.export_graph import ExportGraph
  from schemas import signatures
  from schemas.weights_hash import weights_sha256
  from serving import openvino_servable

  graph = ExportGraph(export)
  decode = graph.decoder(signatures.SERVING_DEFAULT)
  model = openvino_file.convert(graph.network())
  pixels = np.concatenate([decode(np.array([image], object)) for image in images])
  said = decode(openvino_servable.pictures())
  networks = {OPENVINO: ('float32', model), INT8: ('int8', int8.quantize(model, pixels))}
  bases = {}
  for number, arm in enumerate((AS_EXPORTED, CONSTANTS, OPENVINO, INT8)):
    bases[arm] = folder / f'arm-{number}'
    # A version may have a network already.
    shutil.copytree(export, bases[arm] / '1', ignore=shutil.ignore_patterns('openvino'))
    if arm not in networks:
      continue
    precision, network = networks[arm]
    inside = bases[arm] / '1' / openvino_servable.FOLDER
    inside.mkdir()
    openvino_file.save(network, inside)
    facts = {'precision': precision, 'weights_sha256': weights_sha256(export)}
    if precision == 'int8':
      answers = openvino_file.load(inside)(said)[signatures.PROBABILITIES].tolist()
      facts[openvino_servable.GATE_ANSWERS] = answers
    (inside / 'sightline.json').write_text(json.dumps(facts))
  return bases


def measure(
  bases: dict[str, pathlib.Path], image: bytes, args: argparse.Namespace
) -> dict[str, dict[str, float]]:
  """Returns the figures of each arm."""
  found = in_process(bases, image, args.rounds)
  for arm, base in bases.items():
    model = base / '1' / 'variables'
    if arm in (OPENVINO, INT8):
      model = base / '1' / 'assets.extra/openvino'
    size = sum(path.stat().st_size for path in model.iterdir() if path.suffix != '.json')
    found[arm]['disk'] = size / 1e6
  bodies = serving_speed.write_bodies(bases[AS_EXPORTED].parent, image)
  processes = {arm: start(arm, base, place) for place, (arm, base) in enumerate(bases.items())}
  try:
    for place in range(len(bases)):
      serving_speed.wait(f'http://{address(place)}/readyz')
    rounds: dict[tuple[str, str], list[dict]] = {
      (arm, protocol): [] for arm in bases for protocol in PROTOCOLS
    }
    for number in range(args.rounds + 1):
      for place, arm in enumerate(bases):
        targets = (
          ('rest', address(place), f'/v1/models/{MODEL}:predict', bodies[serving_speed.REST]),
          ('grpc', address(place, 1), '-', bodies[serving_speed.GRPC]),
        )
        for target in targets:
          # The first one warms up.
          seen = serving_speed.ask(target, 1, args.seconds if number else 1.0)
          if number:
            rounds[arm, target[0]].append(seen)
    for arm, process in processes.items():
      found[arm]['rss'] = peak(process.pid)
  finally:
    for process in processes.values():
      process.terminate()
      process.wait()
  for (arm, protocol), seen in rounds.items():
    for key in ('rate', 'p50', 'p99'):
      found[arm][f'{protocol} {key}'] = statistics.median(one[key] for one in seen)
  return found


def in_process(
  bases: dict[str, pathlib.Path], image: bytes, rounds: int
) -> dict[str, dict[str, float]]:
  """Times one image a call; the arms take turns."""
  from schemas import signatures
  from serving.frozen_servable import FrozenServable
  from serving.openvino_servable import OpenVinoServable
  from serving.servable import Servable

  inputs = {signatures.IMAGE_BYTES: np.array([image], object)}
  made = {AS_EXPORTED: Servable, CONSTANTS: FrozenServable}
  with photo_folds.quiet():
    servables = {arm: made.get(arm, OpenVinoServable)(base / '1') for arm, base in bases.items()}
  times: dict[str, list[float]] = {arm: [] for arm in bases}
  for _ in range(rounds):
    for arm, servable in servables.items():
      for number in range(CALLS + 10):
        began = time.perf_counter()
        servable.run(signatures.SERVING_DEFAULT, inputs)
        if number >= 10:
          times[arm].append((time.perf_counter() - began) * 1e3)
  for servable in servables.values():
    servable.close()
  return {arm: {'call': statistics.median(seen)} for arm, seen in times.items()}


def start(arm: str, base: pathlib.Path, place: int) -> subprocess.Popen:
  """Starts a server."""
  ports = PORT + 2 * place, PORT + 2 * place + 1
  command = [sys.executable, serving_speed.HERE / 'as_exported_server.py', base, *ports]
  if arm != AS_EXPORTED:
    command = [sys.executable, '-m', 'pipeline', 'serve', '--directory', base, '--name', MODEL]
    command += ['--port', ports[0], '--grpc-port', ports[1]]
    command += ['--backend', 'tensorflow' if arm == CONSTANTS else 'openvino']
  return subprocess.Popen(
    list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
  )


def address(place: int, port: int = 0) -> str:
  return f'127.0.0.1:{PORT + 2 * place + port}'


def peak(pid: int) -> float:
  """Returns the peak resident memory of a process, in 10^6 bytes."""
  lines = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii').splitlines()
  return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM:')) * 1024 / 1e6


def show(name: str, found: dict[str, dict[str, float]]) -> None:
  """Prints the table of one model."""
  first = found[AS_EXPORTED]
  print(f'\n{name}; load {os.getloadavg()[0]:.1f}')
  heads = [('in process', 17), ('network', 10), ('RSS', 9)]
  for protocol in ('REST', 'gRPC'):
    heads += [(f'{protocol}, 1 client', 20), ('p50', 9), ('p99', 9)]
  print(f'  {"":18}{"".join(f"{head:>{width}}" for head, width in heads)}')
  for arm, row in found.items():
    calls = first['call'] / row['call']
    line = f'{row["call"]:7.2f} ms {calls:5.1f}x{row["disk"]:7.2f} MB{row["rss"]:6.0f} MB'
    for protocol in PROTOCOLS:
      rate = row[f'{protocol} rate']
      line += f'{rate:9.0f} /s {rate / first[f"{protocol} rate"]:6.2f}x'
      line += f'{row[f"{protocol} p50"]:6.1f} ms{row[f"{protocol} p99"]:6.1f} ms'
    print(f'  {arm:18}{line}')
  for arm, protocol in itertools.product((OPENVINO, INT8), PROTOCOLS):
    reached = found[arm][f'{protocol} rate'] / first[f'{protocol} rate']
    kept = 'kept' if reached >= GOAL else 'MISSED'
    print(f'  {arm}, {protocol}: goal, {GOAL:g} times the requests a second: {kept}')


if __name__ == '__main__':
  main()
