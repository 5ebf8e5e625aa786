"""What each stage of a run costs, by the number of images, and how well that can be foretold.

    .venv/bin/python benchmarks/scale.py --quick [--work DIR] [--json FILE]
    .venv/bin/python benchmarks/scale.py          # with 200,000 images: hours, 20 GB

For each number of images the pipeline is run stage by stage, each in a process of its own,
the earlier ones from the cache: seconds and CPU-seconds of the component itself, the peak
memory of its process and of those that it started (sampled), and the bytes of its artifacts.
From the two smaller numbers a start-up and a slope are taken, the third is predicted and
compared with what was measured. That error is what an extrapolation is worth.

The photos are made up: JPEGs of 40 to 60 kB, 348 x 348 pixels (made_up_photos.py).
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import made_up_photos
import photo_folds
import psutil
import yaml

QUICK, FULL = (2_000, 6_000, 20_000), (2_000, 20_000, 200_000)
STAGES = (
  'ImageExampleGen',
  'Audit',
  'StatisticsGen',
  'SchemaGen',
  'DataGate',
  'Transform',
  'Trainer',
  'Evaluator',
)
EVERY_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Cost:
  """Of one stage with so many images.

  Attributes:
    seconds: of the component.
    cpu_seconds: of it and of the processes that it started.
    memory: peak of its process and of theirs, in bytes.
    size: of its artifacts, in bytes.
  """

  seconds: float
  cpu_seconds: float
  memory: int
  size: int


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--quick', action='store_true', help=f'with {QUICK[-1]:,} images at most')
  parser.add_argument('--images', type=int, nargs=3, metavar='N', help='other numbers of images')
  parser.add_argument('--stages', nargs='+', choices=STAGES, default=list(STAGES))
  parser.add_argument('--work', type=pathlib.Path, help='keep the photos there, for other runs')
  parser.add_argument('--json', type=pathlib.Path, help='the figures, and the machine')
  parser.add_argument('--one', nargs=2, metavar=('CONFIG', 'STAGE'), help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.one:
    print(json.dumps(run_one(pathlib.Path(args.one[0]), args.one[1])))
    return
  photo_folds.say_machine('tensorflow', 'tfx', 'apache-beam')
  counts = tuple(args.images or (QUICK if args.quick else FULL))
  with tempfile.TemporaryDirectory(prefix='scale-') as folder:
    work = args.work or pathlib.Path(folder)
    costs = {count: measure(work, count, args.stages) for count in counts}
  show(counts, costs, args.stages)
  if args.json:
    rows = {
      str(count): {stage: dataclasses.asdict(cost) for stage, cost in of.items()}
      for count, of in costs.items()
    }
    machine = {'cpu': photo_folds.cpu(), 'cores': len(os.sched_getaffinity(0))}
    args.json.write_text(json.dumps({'machine': machine, 'costs': rows}, indent=1) + '\n')


def measure(work: pathlib.Path, count: int, stages: list[str]) -> dict[str, Cost]:
  """Returns the cost of each stage with so many images."""
  begin = time.monotonic()
  data = made_up_photos.write(work / f'photos-{count}', count)
  print(f'{count:,} photos in {time.monotonic() - begin:.0f} s', flush=True)
  root = work / f'run-{count}'
  shutil.rmtree(root, ignore_errors=True)
  config = work / f'{count}.yaml'
  tree = {
    'name': 'scale',
    'data': {'root': str(data)},
    'image': {'height': 32, 'width': 32},
    'model': {'backbone': 'efficientnet_tiny', 'weights': 'none'},
    'train': {'epochs': 1, 'batch_size': 64, 'checks': False},
    'evaluate': {'min_accuracy': 0.0},
    'floors': {'fit': False, 'gates': False, 'reason': 'a benchmark of cost'},
    'run': {'root': str(root), 'draft': True},
    'analysis': {'run': False},
  }
  config.write_text(yaml.safe_dump(tree))
  found = {}
  for stage in stages:
    found[stage] = one = cost(config, root, stage)
    print(
      f'  {stage:16}{one.seconds:9.1f} s{one.cpu_seconds:9.1f} CPU-s'
      f'{one.memory / 1e6:8.0f} MB{one.size / 1e6:9.1f} MB written',
      flush=True,
    )
  shutil.rmtree(root, ignore_errors=True)
  return found


def cost(config: pathlib.Path, root: pathlib.Path, stage: str) -> Cost:
  """Runs the pipeline up to one stage in a process of its own."""
  command = [sys.executable, __file__, '--one', str(config), stage]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  peak = Peak(process.pid)
  said, log = process.communicate()
  peak.stop()
  if process.returncode:
    raise SystemExit(f'{stage}: ended with code {process.returncode}\n{log[-4000:]}')
  found = json.loads(said.strip().splitlines()[-1])
  written = root / 'artifacts' / stage
  size = sum(path.stat().st_size for path in written.rglob('*') if path.is_file())
  return Cost(found['seconds'], found['cpu_seconds'], peak.bytes, size)


class Peak(threading.Thread):
  """Samples the resident memory of a process and its children; `bytes` is the highest sum."""

  def __init__(self, process: int):
    super().__init__(daemon=True)
    self.bytes = 0
    self._process = psutil.Process(process)
    self._done = threading.Event()
    self.start()

  def run(self) -> None:
    while not self._done.wait(EVERY_SECONDS):
      total = 0
      try:
        for one in (self._process, *self._process.children(recursive=True)):
          total += one.memory_info().rss
      except psutil.Error:
        continue
      self.bytes = max(self.bytes, total)

  def stop(self) -> None:
    self._done.set()
    self.join()


def run_one(path: pathlib.Path, stage: str) -> dict[str, float]:
  """Runs the pipeline of a config up to one stage; returns what that stage took."""
  from pipeline import runner
  from schemas import loader

  class Silent:
    def planned(self, components: list[str]) -> None: ...

    def started(self, component: str) -> None: ...

    def finished(self, component: str, outcome: str, seconds: float) -> None: ...

  config = loader.load_config(path)
  with photo_folds.quiet(), runner.open_run(config) as run:
    runner.execute(lambda: runner.compile_pipeline(config, stage), run, Silent())
  part = run.components[stage]
  assert part.outcome == runner.DONE, part
  return {'seconds': part.seconds, 'cpu_seconds': part.cpu_seconds}


def show(counts: tuple[int, ...], costs: dict[int, dict[str, Cost]], stages: list[str]) -> None:
  """Prints start-up and slope from the first two numbers, and the error for the third."""
  small, middle, large = counts
  print(f'\nfrom {small:,} and {middle:,} images, and foretold for {large:,}:')
  print(f'  {"":16}{"start-up":>11}{"slope":>12}{"foretold":>12}{"measured":>12}{"error":>9}')
  for key, unit, of_one, scale, per_image in (
    ('seconds', 's', 'ms', 1, 1e3),
    ('cpu_seconds', 'CPU-s', 'ms', 1, 1e3),
    ('size', 'MB', 'kB', 1e-6, 1e-3),
  ):
    for stage in stages:
      first, second, third = (getattr(costs[count][stage], key) for count in counts)
      slope = (second - first) / (middle - small)
      start = first - slope * small
      foretold = start + slope * large
      print(
        f'  {stage:16}{start * scale:7.1f} {unit:5}{slope * per_image:7.3f} {of_one:3}'
        f'{foretold * scale:9.1f}{third * scale:12.1f}{foretold / max(third, 1e-9) - 1:+10.0%}'
      )
    print()
  print('peak memory, MB:')
  for stage in stages:
    row = [costs[count][stage].memory / 1e6 for count in counts]
    print(f'  {stage:16}' + ''.join(f'{value:9.0f}' for value in row) + f'{row[2] / row[0]:8.2f}x')


if __name__ == '__main__':
  main()
