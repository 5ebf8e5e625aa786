"""Five new versions under load: how many requests fail, and how long they take meanwhile.

    .venv/bin/python benchmarks/swap_under_load.py [--backbone efficientnet_b0] [--size 64]

Two clients by REST and two by gRPC ask as fast as they are answered. After a quiet time five
versions are published one after the other, their files arriving slowly and saved_model.pb
last, as a copy over a network does; one of the five cannot run. A swap lasts from the
arrival of saved_model.pb until the version is AVAILABLE (or has failed) and the one before
has ended. The goal: no request fails, and p99 during swaps is at most twice the quiet p99.
Then SIGTERM in the middle of the load: /readyz says no, the clients send nothing new, and
what was under way must be answered.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import httpx
import photo_folds
import psutil
import random_exports
import serving_speed

REST, GRPC = '127.0.0.1:18402', '127.0.0.1:18403'
STATUS = f'http://{REST}/v1/models/served'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--backbone', default='efficientnet_b0')
  parser.add_argument('--size', type=int, default=64)
  parser.add_argument('--quiet-seconds', type=float, default=20.0)
  args = parser.parse_args()
  photo_folds.say_machine('tensorflow', 'uvicorn', 'grpcio')
  with tempfile.TemporaryDirectory(prefix='swap-') as name:
    folder = pathlib.Path(name)
    with photo_folds.quiet():
      for seed in (1, 2):
        random_exports.write(folder, folder / f'made/{seed}', args.backbone, args.size, seed)
    shutil.copytree(folder / 'made/1', folder / 'served/1')
    measure(folder, args)


def measure(folder: pathlib.Path, args: argparse.Namespace) -> None:
  """Runs the server, the clients and the swaps; prints the table."""
  server = subprocess.Popen(
    [sys.executable, '-m', 'pipeline', 'serve', '--directory', str(folder / 'served')]
    + ['--port', REST.split(':')[1], '--grpc-port', GRPC.split(':')[1], '--poll-seconds', '0.5']
    + ['--drain-seconds', '2'],
    stdout=subprocess.DEVNULL,
  )
  try:
    serving_speed.wait(f'http://{REST}/readyz')
    bodies = serving_speed.write_bodies(folder, random_exports.photo(0, 96, 96))
    warm = start(folder, bodies, 5, 'warm')
    [client.wait() for client in warm]
    memory = [psutil.Process(server.pid).memory_info().rss / 2**20]
    clients = start(folder, bodies, args.quiet_seconds + 600, 'load')
    time.sleep(args.quiet_seconds)
    swaps = []
    for version in range(2, 7):
      swaps.append(publish(folder, version, broken=version == 4))
      memory.append(psutil.Process(server.pid).memory_info().rss / 2**20)
      time.sleep(4)
    server.send_signal(signal.SIGTERM)
    stopped = time.time()
    code = server.wait()
    took = time.time() - stopped
    for client in clients:
      client.wait()
  finally:
    server.kill()
  show(folder, swaps, stopped, memory)
  print(f'  SIGTERM: exit code {code} after {took:.1f} s')


def start(folder: pathlib.Path, bodies: dict, seconds: float, name: str) -> list:
  """Starts the clients; they end when the server says that it is about to stop."""
  commands = (
    ('rest', REST, '/v1/models/served:predict', bodies[serving_speed.REST]),
    ('grpc', GRPC, '-', bodies[serving_speed.GRPC]),
  )
  return [
    subprocess.Popen(
      [sys.executable, str(serving_speed.HERE / 'load_generator.py'), *map(str, command)]
      + ['--clients', '2', '--seconds', str(seconds), '--while-ready', f'http://{REST}/readyz']
      + ['--timeline', str(folder / f'{name}-{command[0]}.json')],
      stdout=subprocess.DEVNULL,
    )
    for command in commands
  ]


def publish(folder: pathlib.Path, version: int, broken: bool) -> tuple[float, float, bool]:
  """Lets the files of a version arrive one by one; returns when the swap began and ended."""
  source = folder / f'made/{1 + version % 2}'
  target = folder / f'served/{version}'
  files = sorted(path for path in source.rglob('*') if path.is_file())
  files.sort(key=lambda path: path.name == 'saved_model.pb')
  for path in files:
    time.sleep(0.15)
    copy = target / path.relative_to(source)
    copy.parent.mkdir(parents=True, exist_ok=True)
    data = path.read_bytes()
    if broken and copy.suffix.startswith('.data'):
      data = data[: len(data) // 2]
    copy.write_bytes(data)
  begin = time.time()
  while True:
    rows = {row['version']: row for row in httpx.get(STATUS).json()['model_version_status']}
    state = rows.get(str(version), {}).get('state')
    others = [row for number, row in rows.items() if number != str(version)]
    if broken and state == 'END':
      return begin, time.time(), True
    if state == 'AVAILABLE' and all(row['state'] == 'END' for row in others):
      return begin, time.time(), False
    if time.time() - begin > 120:
      raise SystemExit(f'version {version} was not taken within 120 s: {rows}')
    time.sleep(0.05)


def show(folder: pathlib.Path, swaps: list, stopped: float, memory: list[float]) -> None:
  """Prints what the clients saw."""
  seen = [
    row
    for name in ('rest', 'grpc')
    for row in json.loads((folder / f'load-{name}.json').read_text())
  ]
  failed = sum(not ok for when, _, ok in seen)
  print(f'  {len(seen)} requests, {failed} failed; {len(swaps)} versions published')
  first = swaps[0][0]
  quiet = [latency for when, latency, ok in seen if ok and when < first - 1]
  print(f'  quiet                 {line(quiet)}')
  within: list[float] = []
  for number, (begin, end, broken) in enumerate(swaps, 2):
    # A request that ended just after the swap may have been held up by it.
    one = [latency for when, latency, ok in seen if ok and begin <= when <= end + 0.5]
    within += one
    word = 'broken, refused' if broken else f'{end - begin:4.1f} s'
    print(f'  version {number} {word:>15} {line(one)}')
  ratio = percentile(within, 99) / percentile(quiet, 99)
  verdict = 'kept' if ratio <= 2 and not failed else 'MISSED'
  print(f'  all swaps             {line(within)}   p99 {ratio:.2f} of quiet: {verdict}')
  print(f'  memory before and after each swap: {", ".join(f"{mb:.0f}" for mb in memory)} MiB')


def line(latencies: list[float]) -> str:
  """Returns percentiles in words."""
  cuts = '  '.join(f'p{cut} {percentile(latencies, cut):6.1f}' for cut in (50, 99))
  return f'{len(latencies):6} requests  {cuts}  longest {max(latencies):6.1f} ms'


def percentile(values: list[float], cut: float) -> float:
  """Returns one of the values."""
  return sorted(values)[min(len(values) - 1, int(len(values) * cut / 100))]


if __name__ == '__main__':
  main()
