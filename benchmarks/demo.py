"""Times the demo: the first run, the second, and `--help`; prints accuracy over seeds.

    .venv/bin/python benchmarks/demo.py [--seeds 3] [--folder DIR]

Each seed gets a data folder and a run root of its own, so nothing is cached. The
second run is of the first seed. For the time of a fresh clone with installation,
add what `make env` prints. Times are wall seconds of whole processes; the ratio of
the second run to the first is what carries over to another machine.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIGHTLINE = [sys.executable, '-m', 'pipeline']


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--folder', type=pathlib.Path, default=None)
  args = parser.parse_args()
  folder = args.folder or pathlib.Path(tempfile.mkdtemp(prefix='sightline-demo-'))
  report(f'{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}')
  report(f'--help            {median_help():8.2f} s (median of 5)')
  for seed in range(args.seeds):
    seconds, summary = run(folder, seed)
    accuracy = summary['accuracy']
    low, high = accuracy['interval']
    report(
      f'seed {seed} first run  {seconds:8.1f} s  accuracy {accuracy["value"]:.4f} '
      f'({low:.4f} to {high:.4f}, n {accuracy["n"]})  {summary["outcome"]}'
    )
    if seed == 0:
      first, parts = seconds, summary['components']
  again, _ = run(folder, 0)
  report(f'seed 0 second run {again:8.1f} s  {again / first:.2f} of the first')
  report('seconds per component of the first run:')
  for name, part in parts.items():
    report(f'  {name:20} {part["seconds"]:8.1f}')


def run(folder: pathlib.Path, seed: int) -> tuple[float, dict]:
  """Runs the demo's experiment with a seed; returns wall seconds and its summary."""
  root = folder / f'seed-{seed}'
  command = [
    *SIGHTLINE,
    'run',
    str(ROOT / 'pipeline/configs/digits.yaml'),
    '--set',
    f'train.seed={seed}',
    '--set',
    f'run.root={root}/run',
    '--set',
    f'data.root={root}/data',
  ]
  known = set(root.glob('run/*/summary.json'))
  began = time.monotonic()
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  seconds = time.monotonic() - began
  new = set(root.glob('run/*/summary.json')) - known
  if not new:
    raise SystemExit(done.stdout + done.stderr)
  return seconds, json.loads(new.pop().read_text(encoding='utf-8'))


def median_help() -> float:
  times = []
  for _ in range(5):
    began = time.monotonic()
    subprocess.run([*SIGHTLINE, '--help'], capture_output=True, check=True)
    times.append(time.monotonic() - began)
  return statistics.median(times)


def report(line: str) -> None:
  sys.stdout.write(line + '\n')
  sys.stdout.flush()


if __name__ == '__main__':
  main()
