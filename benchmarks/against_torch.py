"""Times one training step of EfficientNet-B0 beside timm's on PyTorch.

    .venv/bin/python benchmarks/against_torch.py [--sizes 96 224] [--rounds 3] [--env DIR]

A step is forward, loss, backward and AdamW, on one batch that lies in memory; random
weights, dropout 0.2, BatchNorm in training mode, no stochastic depth, no clipping, on
both sides. PyTorch and timm live in an environment of their own, which the first call
makes. The arms take turns, each turn in a fresh process: what the machine does
meanwhile hits all alike. What carries over to another machine is the ratio.

Arms of PyTorch (AdamW is its fused one): eager, channels_last, bf16 (autocast),
channels_last+bf16, and with --arms also compiled (torch.compile; needs a C++ compiler).
Arms of ours: float32 and mixed_bfloat16, as a tf.function without XLA.
"""

import argparse
import importlib.abc
import importlib.machinery
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import types

# Both environments read this file: nothing but the standard library at its head.
ROOT = pathlib.Path(__file__).resolve().parent.parent
TORCH = ('torch==2.13.0', 'numpy', 'pyyaml', 'huggingface_hub', 'safetensors', 'pillow')
TIMM = 'timm==1.0.31'
THEIRS = ('eager', 'channels_last', 'bf16', 'channels_last+bf16')
OURS = ('float32', 'mixed_bfloat16')
CLASSES = 10
RATE = 1e-3
DECAY = 0.05


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--sizes', type=int, nargs='+', default=[96, 224])
  parser.add_argument('--batch', type=int, default=32)
  parser.add_argument('--rounds', type=int, default=3, help='turns of each arm')
  parser.add_argument('--steps', type=int, default=8, help='timed steps of a turn')
  parser.add_argument('--warm-up', type=int, default=2, help='steps before them')
  parser.add_argument('--arms', nargs='+', default=[*THEIRS, *OURS], help='which, by name')
  parser.add_argument('--env', type=pathlib.Path, default=pathlib.Path('runs/bench-torch/env'))
  parser.add_argument('--child', nargs=2, metavar=('ARM', 'SIZE'), help='one turn')
  args = parser.parse_args()
  if args.child:
    arm, size = args.child[0], int(args.child[1])
    turn = ours if arm in OURS else theirs
    print(json.dumps(turn(arm, size, args.batch, args.warm_up, args.steps)))
    return
  python = environment(args.env)
  say_machine(python)
  for size in args.sizes:
    say(size, args, measure(size, args, python))


def environment(folder: pathlib.Path) -> pathlib.Path:
  """Returns the Python of PyTorch's environment; makes it where it is not there.

  pip takes the packages from where this machine's configuration says. timm asks for
  torchvision, of which a build for the same PyTorch is needed: it is left out, because
  the network uses nothing of it.
  """
  python = folder / 'bin/python'
  marker = folder / 'complete'
  if not marker.exists():
    print(f'making {folder}', flush=True)
    subprocess.run([sys.executable, '-m', 'venv', '--clear', folder], check=True)
    install = [str(python), '-m', 'pip', 'install', '--quiet']
    subprocess.run([*install, *TORCH], check=True)
    subprocess.run([*install, '--no-deps', TIMM], check=True)
    marker.touch()
  return python


def measure(size: int, args: argparse.Namespace, python: pathlib.Path) -> dict[str, list[dict]]:
  """Gives every arm its turns; returns what each turn found."""
  found: dict[str, list[dict]] = {arm: [] for arm in args.arms}
  for turn in range(args.rounds):
    # Back and forth, so that no arm always comes after the same one.
    for arm in args.arms if turn % 2 == 0 else reversed(args.arms):
      command = [sys.executable if arm in OURS else python, __file__, '--child', arm, str(size)]
      command += [f'--batch={args.batch}', f'--steps={args.steps}', f'--warm-up={args.warm_up}']
      child = subprocess.run(
        command,
        capture_output=True,
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
      )
      if child.returncode:
        raise SystemExit(f'{child.stderr.decode()[-3000:]}\n{arm} at {size} pixels failed')
      found[arm].append(json.loads(child.stdout.splitlines()[-1]))
  return found


def ours(policy: str, size: int, batch: int, warm_up: int, steps: int) -> dict:
  """One turn of Sightline's classifier."""
  sys.path.insert(0, str(ROOT))
  import keras
  import numpy as np
  import tensorflow as tf

  from models import classifier
  from schemas.config import ImageConfig, ModelConfig

  keras.config.set_dtype_policy(policy)
  statistics_of = {'mean': np.full(3, 0.5), 'variance': np.full(3, 0.08)}
  image = ImageConfig(height=size, width=size)
  model = classifier.build(
    ModelConfig(backbone='efficientnet_b0', dropout=0.2), image, CLASSES, **statistics_of
  )
  variables = model.trainable_variables
  optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY)
  optimizer.build(variables)
  loss = keras.losses.CategoricalCrossentropy(from_logits=True)
  draw = np.random.default_rng(0)
  pixels = tf.constant(draw.uniform(0, 255, (batch, size, size, 3)).astype(np.float32))
  labels = tf.one_hot(draw.integers(0, CLASSES, batch), CLASSES)

  @tf.function(jit_compile=False)
  def step(images, truth):
    with tf.GradientTape() as tape:
      value = loss(truth, model(images, training=True))
    optimizer.apply(tape.gradient(value, variables), variables)
    return value

  return timed(lambda: float(step(pixels, labels)), warm_up, steps, model.count_params())


def theirs(arm: str, size: int, batch: int, warm_up: int, steps: int) -> dict:
  """One turn of timm's efficientnet_b0."""
  sys.meta_path.insert(0, NoTorchvision())
  import timm
  import torch

  torch.manual_seed(0)
  model = timm.create_model('efficientnet_b0', num_classes=CLASSES, drop_rate=0.2).train()
  pixels = torch.randn(batch, 3, size, size)
  labels = torch.randint(0, CLASSES, (batch,))
  if 'channels_last' in arm or arm == 'compiled':
    model = model.to(memory_format=torch.channels_last)
    pixels = pixels.to(memory_format=torch.channels_last)
  parameters = sum(weight.numel() for weight in model.parameters())
  called = torch.compile(model) if arm == 'compiled' else model
  optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, fused=True)

  def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast('cpu', torch.bfloat16, enabled='bf16' in arm):
      value = torch.nn.functional.cross_entropy(called(pixels), labels)
    value.backward()
    optimizer.step()
    return value.item()

  return timed(step, warm_up, steps, parameters)


def timed(step, warm_up: int, steps: int, parameters: int) -> dict:
  """Takes the steps; returns seconds of each, the last loss and the parameters."""
  for _ in range(warm_up):
    step()
  seconds = []
  for _ in range(steps):
    began = time.perf_counter()
    value = step()
    seconds.append(time.perf_counter() - began)
  return {'seconds': seconds, 'loss': value, 'parameters': parameters}


class Placeholder(type):
  """A class that has every attribute."""

  def __getattr__(cls, name: str):
    if name.startswith('__'):
      raise AttributeError(name)
    return name


class Empty(types.ModuleType):
  """A module that has every name."""

  def __getattr__(self, name: str):
    if name.startswith('__'):
      raise AttributeError(name)
    return Placeholder(name, (), {})


class NoTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Stands in for torchvision, whose names timm imports for its data loaders.

  It has to fit PyTorch to the build, which differs by machine; the network needs
  nothing of it but a class that no layer of it is an instance of.
  """

  def find_spec(self, name: str, path=None, target=None):
    if name.partition('.')[0] == 'torchvision':
      return importlib.machinery.ModuleSpec(name, self, is_package=True)
    return None

  def create_module(self, spec):
    return Empty(spec.name)

  def exec_module(self, module) -> None:
    """Leaves it empty."""


def say_machine(python: pathlib.Path) -> None:
  from importlib import metadata

  lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
  cpu = next((line.split(': ')[1] for line in lines if line.startswith('model name')), 'CPU')
  theirs_are = subprocess.run(
    [python, '-c', 'import torch; print(torch.__version__)'], capture_output=True, text=True
  )
  load = os.getloadavg()[0]
  busy = '; others are at work, so believe no figure below' if load > 0.7 else ''
  print(
    f'{platform.platform()}, {cpu}, {len(os.sched_getaffinity(0))} cores, '
    f'load before the start {load:.1f}{busy}\n'
    f'tensorflow {metadata.version("tensorflow")}, keras {metadata.version("keras")}; '
    f'torch {theirs_are.stdout.strip()}, {TIMM}'
  )


def say(size: int, args: argparse.Namespace, found: dict[str, list[dict]]) -> None:
  """Prints a row an arm, and the ratio to the fastest of theirs."""
  print(
    f'\nEfficientNet-B0, {size} x {size}, batch {args.batch}: {args.rounds} turns of '
    f'{args.steps} steps\n{"":22}{"parameters":>11}{"ms a step":>11}{"turns":>18}{"images/s":>10}'
  )
  medians = {}
  for arm, turns in found.items():
    each = [statistics.median(turn['seconds']) for turn in turns]
    medians[arm] = statistics.median(each)
    whose = 'ours' if arm in OURS else 'timm'
    spread = f'{min(each) * 1e3:.0f} to {max(each) * 1e3:.0f}'
    print(
      f'{whose} {arm:17}{turns[0]["parameters"]:11}{medians[arm] * 1e3:11.0f}{spread:>18}'
      f'{args.batch / medians[arm]:10.1f}'
    )
  mine = fastest(medians, is_ours=True)
  other = fastest(medians, is_ours=False)
  if mine and other:
    # Turn by turn: what slowed a round slows both sides of its ratio.
    ratios = [
      statistics.median(first['seconds']) / statistics.median(second['seconds'])
      for first, second in zip(found[mine], found[other], strict=True)
    ]
    print(
      f'ours ({mine}) takes {medians[mine] / medians[other]:.2f} times the time of the fastest of '
      f'theirs ({other}); turn by turn {min(ratios):.2f} to {max(ratios):.2f}',
      flush=True,
    )


def fastest(medians: dict[str, float], is_ours: bool) -> str | None:
  """Returns the fastest arm of one side; None where none of it ran."""
  side = [arm for arm in medians if (arm in OURS) == is_ours]
  return min(side, key=lambda arm: medians[arm]) if side else None


if __name__ == '__main__':
  main()
