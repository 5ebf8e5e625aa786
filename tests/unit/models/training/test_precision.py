"""The dtype policy: what the machine says, what is measured, and what it costs to measure."""

import random
import sys

import keras
import numpy as np
import pytest

from models.training import precision
from schemas.loader import build_config


def config(**train):
  backbone = train.pop('backbone', 'resnet50')
  model = {'backbone': backbone, 'build_fn': train.pop('build_fn', None)}
  return build_config(
    {
      'name': 'x',
      'image': {'height': 32, 'width': 32},
      'model': model,
      'train': {'batch_size': 4, **train},
    },
    'test',
  )


class Fake:
  """A measure with known seconds a step, which takes 10 s of its own clock for each policy."""

  def __init__(self, **seconds):
    self.seconds = seconds
    self.asked = []
    self.now = 0.0

  def __call__(self, config, policy, classes):
    self.asked.append(policy)
    self.now += 10.0
    return self.seconds[policy]

  def clock(self):
    return self.now


@pytest.fixture
def cpu(monkeypatch):
  monkeypatch.setattr(precision.tf.config, 'list_physical_devices', lambda kind: [])
  monkeypatch.setattr(precision, 'has_bfloat16', lambda: True)


def with_gpu(monkeypatch, **details):
  monkeypatch.setattr(precision.tf.config, 'list_physical_devices', lambda kind: ['gpu'])
  monkeypatch.setattr(
    precision.tf.config.experimental, 'get_device_details', lambda device: details
  )


@pytest.mark.parametrize('wanted', ['float32', 'mixed_bfloat16', 'mixed_float16'])
def test_what_is_asked_for_is_taken(wanted):
  fake = Fake()
  chosen = precision.choose(config(precision=wanted), 3, 1000, fake, fake.clock)
  assert chosen.policy == wanted and fake.asked == []
  assert chosen.reason == f'train.precision is {wanted}'


@pytest.mark.parametrize(
  'capability, policy',
  [
    ((9, 0), 'mixed_bfloat16'),
    ((8, 0), 'mixed_bfloat16'),
    ((7, 5), 'mixed_float16'),
    ((7, 0), 'mixed_float16'),
    ((6, 1), 'float32'),
  ],
)
def test_a_gpu_says_what_it_can(monkeypatch, capability, policy):
  with_gpu(monkeypatch, compute_capability=capability)
  chosen = precision.choose(config(), 3, 1000, Fake())
  assert chosen.policy == policy and chosen.measured is None
  assert f'compute capability {capability[0]}.{capability[1]}' in chosen.reason


def test_a_gpu_that_does_not_say_gets_float32(monkeypatch):
  with_gpu(monkeypatch)
  assert precision.choose(config(), 3, 1000, Fake()).policy == 'float32'


@pytest.mark.parametrize('backbone', ['efficientnet_b0', 'efficientnet_v2_b0'])
def test_efficientnet_on_a_cpu_is_not_measured(cpu, backbone):
  fake = Fake()
  chosen = precision.choose(config(backbone=backbone), 3, 10**6, fake, fake.clock)
  assert chosen.policy == 'float32' and fake.asked == []
  assert '0.83 s against 0.51 s' in chosen.reason


def test_a_cpu_without_the_instructions_is_not_measured(cpu, monkeypatch):
  monkeypatch.setattr(precision, 'has_bfloat16', lambda: False)
  chosen = precision.choose(config(), 3, 10**6, Fake())
  assert chosen.policy == 'float32' and 'without bfloat16 instructions' in chosen.reason


@pytest.mark.parametrize(
  'own, bfloat16, policy',
  [
    (None, 0.5, 'mixed_bfloat16'),
    ('network.build', 0.5, 'mixed_bfloat16'),
    # 1 / 0.9 is less than 1.2 times as fast.
    (None, 0.9, 'float32'),
    (None, 2.0, 'float32'),
  ],
)
def test_other_networks_on_a_cpu_are_measured(cpu, own, bfloat16, policy):
  fake = Fake(float32=1.0, mixed_bfloat16=bfloat16)
  chosen = precision.choose(config(build_fn=own), 3, 1000, fake, fake.clock)
  assert chosen.policy == policy
  assert chosen.measured == {'float32': 1.0, 'mixed_bfloat16': bfloat16}
  assert f'{1 / bfloat16:.2f} times as fast' in chosen.reason
  assert f'train.precision: {policy}' in chosen.reason


def test_a_training_that_is_shorter_than_its_measurement_is_not_measured(cpu):
  fake = Fake(float32=0.01, mixed_bfloat16=0.001)
  # 99 steps: not at all. 1,000 of 0.01 s: half of 10 s is saved at best, for 10 s.
  assert precision.choose(config(), 3, 99, fake, fake.clock).policy == 'float32'
  assert fake.asked == []
  chosen = precision.choose(config(), 3, 1000, fake, fake.clock)
  assert fake.asked == ['float32'] and chosen.policy == 'float32'
  assert 'a training of 10 s is too short' in chosen.reason
  # 3,000 of 0.01 s: 15 s may be saved.
  assert precision.choose(config(), 3, 3000, fake, fake.clock).policy == 'mixed_bfloat16'


@pytest.mark.parametrize(
  'text, expected',
  [
    ('processor\t: 0\nflags\t\t: fpu avx512_bf16 fsrm\n', True),
    ('processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16x\n', False),
    ('Features\t: fp asimd bf16 i8mm\n', True),
    ('processor\t: 0\n', False),
  ],
)
def test_linux_says_whether_there_are_bfloat16_instructions(tmp_path, monkeypatch, text, expected):
  path = tmp_path / 'cpuinfo'
  path.write_text(text)
  monkeypatch.setattr(precision, '_CPUINFO', path)
  assert precision.has_bfloat16() is expected
  monkeypatch.setattr(precision, '_CPUINFO', tmp_path / 'missing')
  assert precision.has_bfloat16() is False


@pytest.mark.parametrize('policy', ['float32', 'mixed_float16'])
def test_measuring_a_step_leaves_policy_and_generators_as_a_training_begins_with(
  tmp_path, monkeypatch, policy
):
  name = f'own_network_in_{policy}'
  (tmp_path / f'{name}.py').write_text(
    'import keras\n'
    'seen = []\n'
    'def build(height, width, mean, variance, drop_connect):\n'
    '  seen.append(keras.config.dtype_policy().name)\n'
    '  inputs = keras.Input((height, width, 3))\n'
    '  x = keras.layers.Normalization(mean=mean * 255, variance=variance * 255**2)(inputs)\n'
    '  return keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=4)(x))\n'
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  keras.utils.set_random_seed(3)
  expected = (random.random(), np.random.random(), np.array(keras.random.normal((2,))))
  keras.utils.set_random_seed(3)
  seconds = precision.measure_step(config(seed=3, build_fn=f'{name}.build'), policy, 3)
  assert seconds > 0
  assert sys.modules[name].seen == [policy]
  assert keras.config.dtype_policy().name == 'float32'
  found = (random.random(), np.random.random(), np.array(keras.random.normal((2,))))
  assert found[:2] == expected[:2]
  np.testing.assert_array_equal(found[2], expected[2])
