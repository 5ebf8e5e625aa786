"""Times the data half of the pipeline beside the floor: one pass of decode and resize.

    .venv/bin/python benchmarks/data_half.py [--sizes 2000 20000] [--work DIR]

Made-up photos (see made_up_photos.py) go through every component up to Transform,
in a fresh process for each size. The floor is one pass of tf.data over the same
files on all cores with the decoder of the pipeline, in a fresh process too, once
before and once after; the table has the mean of both. Peak memory is the resident
memory of the whole process tree, sampled. Start-up cost is what a run over a few
images takes: imports, TFX's metadata, tracing. What carries over to another machine
is the ratios. Needs about 200 kB of disk an image below --work.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time

import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Few, so that their own time hardly counts, and enough for every class and split.
FEW = 160
SIDE = 224
# What begins where the data half ends.
OTHER_HALF = (
  'Trainer',
  'LatestServedModel',
  'Evaluator',
  'FirstPredictions',
  'PreviouslyServed',
  'ServingValidator',
  'Publisher',
  'Analysis',
  'ProductionEvaluator',
)
GOALS = 'goals: at most 4 times the floor; memory within 20 %; time an image within 15 %'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--sizes', type=int, nargs='+', default=[2000, 20000])
  parser.add_argument('--work', type=pathlib.Path, default=pathlib.Path('runs/bench-data-half'))
  parser.add_argument('--measure', nargs=3, metavar=('WHAT', 'DATA', 'RESULT'), help='a child')
  args = parser.parse_args()
  if args.measure:
    what, data, result = args.measure
    found = {'floor': floor, 'pipeline': data_half}[what](pathlib.Path(data), pathlib.Path(result))
    pathlib.Path(result).write_text(json.dumps(found), encoding='utf-8')
    return
  compare(args.work.resolve(), sorted(args.sizes))


def compare(work: pathlib.Path, sizes: list[int]) -> None:
  """Measures all sizes and prints the tables."""
  import made_up_photos

  say_machine()
  for count in (FEW, *sizes):
    data = made_up_photos.write(work / f'photos-{count}', count)
    if count == sizes[-1]:
      mean = statistics.mean(path.stat().st_size for path in (data / 'images').iterdir())
      say(f'photos of {made_up_photos.SIDE}x{made_up_photos.SIDE}, {mean / 1e3:.0f} kB on average')
  few = measure('pipeline', work, FEW)
  say_size(FEW, None, few, None)
  measured = {}
  for count in sizes:
    before = measure('floor', work, count)
    whole = measure('pipeline', work, count)
    after = measure('floor', work, count)
    measured[count] = (before, whole, after)
    say_size(count, *measured[count])
  say_table(few, measured)


def measure(what: str, work: pathlib.Path, count: int) -> dict:
  """Runs one measurement in a fresh process.

  Returns:
    What it wrote; with `peak`, of its process tree in MB, and `peaks` by component.
  """
  result = work / f'{what}-{count}.json'
  result.unlink(missing_ok=True)
  command = [sys.executable, __file__, '--measure', what]
  log = work / f'{what}-{count}.log'
  with open(log, 'wb') as stream:
    child = subprocess.Popen(
      [*command, str(work / f'photos-{count}'), str(result)],
      stdout=stream,
      stderr=subprocess.STDOUT,
      cwd=work,
      env={**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '2'},
    )
    samples = sample(child)
  if child.returncode:
    tail = log.read_text(errors='replace')[-3000:]
    raise SystemExit(f'{tail}\n{what} of {count} images failed; see {log}')
  found = json.loads(result.read_text(encoding='utf-8'))
  found['peak'] = max(memory for _, memory in samples)
  found['peaks'] = {
    name: max((memory for at, memory in samples if began - 0.2 <= at <= ended + 0.2), default=0)
    for name, (began, ended, _) in found.get('components', {}).items()
  }
  return found


def sample(child: subprocess.Popen) -> list[tuple[float, float]]:
  """Waits for the child; returns (time, MB of its process tree) ten times a second."""
  process = psutil.Process(child.pid)
  samples = [(time.time(), 0.0)]
  done = threading.Event()

  def watch() -> None:
    while not done.wait(0.1):
      try:
        tree = [process, *process.children(recursive=True)]
        samples.append((time.time(), sum(one.memory_info().rss for one in tree) / 1e6))
      except psutil.NoSuchProcess:
        continue

  watcher = threading.Thread(target=watch)
  watcher.start()
  try:
    child.wait()
  finally:
    done.set()
    watcher.join()
    if child.poll() is None:
      child.kill()
  return samples


def floor(data: pathlib.Path, result: pathlib.Path) -> dict:
  """One pass of read, decode and resize over all files, in no order, on all cores."""
  del result
  import tensorflow as tf

  from models import decoder
  from schemas.config import ImageConfig

  image = ImageConfig(height=SIDE, width=SIDE)
  paths = [str(path) for path in sorted((data / 'images').iterdir())]
  images = tf.data.Dataset.from_tensor_slices(paths).map(
    lambda path: decoder.decode_and_resize(tf.io.read_file(path), image),
    num_parallel_calls=len(os.sched_getaffinity(0)),
    deterministic=False,
  )
  began, worked = time.monotonic(), cpu_seconds()
  seen = 0
  # In batches of one: nothing but the two is measured.
  for _ in images.prefetch(8):
    seen += 1
  return {'seconds': time.monotonic() - began, 'cpu': cpu_seconds() - worked, 'images': seen}


def data_half(data: pathlib.Path, result: pathlib.Path) -> dict:
  """All components up to Transform, uncached, with the imports that they need."""
  from pipeline import library_output, runner
  from schemas.loader import build_config

  root = result.parent / f'run-{data.name}'
  shutil.rmtree(root, ignore_errors=True)
  (data / 'splits.lock.csv').unlink(missing_ok=True)
  config = build_config(
    {
      'name': 'bench',
      'data': {'root': str(data), 'slice_columns': ['place']},
      'image': {'height': SIDE, 'width': SIDE},
      'run': {'root': str(root), 'cache': False},
    },
    'benchmark',
  )

  def compiled():
    whole = runner.compile_pipeline(config)
    half = [node for node in whole.nodes if node.pipeline_node.node_info.id not in OTHER_HALF]
    del whole.nodes[:]
    whole.nodes.extend(half)
    return whole

  clock, worked = Clock(), cpu_seconds()
  with runner.open_run(config) as run, library_output.to_log(run.log):
    runner.execute(compiled, run, clock)
  return {'seconds': run.seconds, 'cpu': cpu_seconds() - worked, 'components': clock.times}


class Clock:
  """A runner.Listener that notes when each component began and ended, and its CPU seconds."""

  def __init__(self) -> None:
    self.times: dict[str, tuple[float, float, float]] = {}
    self._began = (0.0, 0.0)

  def planned(self, components: list[str]) -> None:
    del components

  def started(self, component: str) -> None:
    del component
    self._began = (time.time(), cpu_seconds())

  def finished(self, component: str, outcome: str, seconds: float) -> None:
    del outcome
    began, worked = self._began
    self.times[component] = (began, began + seconds, cpu_seconds() - worked)


def cpu_seconds() -> float:
  """Of this process and the children that it has waited for."""
  return sum(os.times()[:4])


def say_machine() -> None:
  from importlib import metadata

  versions = ', '.join(
    f'{name} {metadata.version(name)}' for name in ('tensorflow', 'tfx', 'apache-beam')
  )
  say(f'{platform.platform()}, {cpu()}, {len(os.sched_getaffinity(0))} cores, {memory()}')
  say(f'Python {platform.python_version()}, {versions}')
  load = os.getloadavg()[0]
  busy = '; others are at work, so believe no figure below' if load > 0.7 else ''
  say(f'load before the start {load:.1f}{busy}')


def cpu() -> str:
  lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
  return next((line.split(': ')[1] for line in lines if line.startswith('model name')), 'CPU')


def memory() -> str:
  return f'{psutil.virtual_memory().total / 1e9:.0f} GB'


def say_size(count: int, before: dict | None, whole: dict, after: dict | None) -> None:
  say(f'\n{f"{count} images":22}{"seconds":>9}{"CPU seconds":>13}{"peak MB":>9}')
  if before:
    say_row('floor, before', before['seconds'], before['cpu'], before['peak'])
  for name, (began, ended, cpu_time) in whole['components'].items():
    say_row(name, ended - began, cpu_time, whole['peaks'][name])
  say_row('all, with imports', whole['seconds'], whole['cpu'], whole['peak'])
  if after:
    say_row('floor, after', after['seconds'], after['cpu'], after['peak'])


def say_row(name: str, seconds: float, cpu_time: float, peak: float) -> None:
  say(f'  {name:20}{seconds:9.1f}{cpu_time:13.1f}{peak:9.0f}')


def say_table(few: dict, measured: dict[int, tuple[dict, dict, dict]]) -> None:
  """Prints what the goals are about."""
  say(f'\nstart-up: {few["seconds"]:.1f} s, {few["cpu"]:.1f} CPU seconds for {FEW} images')
  say('  images  images/s  floor images/s  times the floor  without start-up  the same in CPU')
  for count, (before, whole, after) in measured.items():
    least = (before['seconds'] + after['seconds']) / 2
    least_cpu = (before['cpu'] + after['cpu']) / 2
    say(
      f'{count:8}{count / whole["seconds"]:10.1f}{count / least:16.1f}'
      f'{whole["seconds"] / least:17.2f}'
      f'{an_image(few, whole, count, "seconds") * count / least:18.2f}'
      f'{an_image(few, whole, count, "cpu") * count / least_cpu:17.2f}'
    )
  fewest, most = min(measured), max(measured)
  if fewest != most:
    small, large = measured[fewest][1], measured[most][1]
    whole_ratio = (large['seconds'] / most) / (small['seconds'] / fewest)
    nets = [
      an_image(few, large, most, unit) / an_image(few, small, fewest, unit)
      for unit in ('seconds', 'cpu')
    ]
    say(f'peak memory, {most} over {fewest}: {large["peak"] / small["peak"]:.2f}')
    say(
      f'time an image, {most} over {fewest}: {whole_ratio:.2f}; without start-up {nets[0]:.2f}, '
      f'in CPU {nets[1]:.2f}'
    )
  say(GOALS)


def an_image(few: dict, whole: dict, count: int, unit: str) -> float:
  """Seconds an image, without what a run over few images takes."""
  return (whole[unit] - few[unit]) / (count - FEW)


def say(line: str) -> None:
  sys.stdout.write(line + '\n')
  sys.stdout.flush()


if __name__ == '__main__':
  main()
