"""What a training needs, by hand and against what a step really takes; what there is left."""

import json
import os
import re
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.training import memory

MIB = 1 << 20


def small():
  inner_inputs = keras.Input((8, 8, 3))
  x = keras.layers.Conv2D(5, 3, padding='same')(inner_inputs)
  inner = keras.Model(inner_inputs, keras.layers.BatchNormalization()(x), name='backbone')
  inputs = keras.Input((8, 8, 3))
  x = keras.layers.GlobalAveragePooling2D()(inner(inputs))
  return keras.Model(inputs, keras.layers.Dense(2, dtype='float32')(x))


def test_an_estimate_is_the_sum_of_its_parts():
  # Convolution 3 * 3 * 3 * 5 + 5, BatchNorm 2 * 5 and 2 * 5 that move, dense 5 * 2 + 2.
  learning, moving = 140 + 10 + 12, 10
  # Outputs of an image: 8 * 8 * 5 twice, 5 pooled, 2 logits.
  outputs = 2 * 320 + 5 + 2
  expected = 4 * (learning + moving) + 4 * 3 * learning + 4 * 16 * outputs
  assert memory.estimate(small(), 16) == memory.RUNTIME + expected


def test_what_is_frozen_has_no_gradient_and_no_slots():
  model = small()
  whole = memory.estimate(model, 16)
  model.get_layer('backbone').trainable = False
  assert whole - memory.estimate(model, 16) == 4 * 3 * 150


def test_a_model_of_a_part_of_the_layers_adds_nothing():
  model = small()
  whole = memory.estimate(model, 16)
  inputs = keras.Input((5,))
  keras.Model(inputs, model.layers[-1](inputs))
  assert memory.estimate(model, 16) == whole


def test_half_precision_halves_the_activations_and_not_the_weights():
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    model = small()
  finally:
    keras.config.set_dtype_policy('float32')
  expected = 4 * 172 + 4 * 3 * 162 + 16 * (2 * (2 * 320 + 5) + 4 * 2)
  assert memory.estimate(model, 16) == memory.RUNTIME + expected


def peak_of(step):
  """Returns by how many bytes the process grew at most while a function ran."""

  def status(name):
    with open('/proc/self/status') as stream:
      return int(re.search(rf'{name}:\s+(\d+)', stream.read()).group(1)) * 1024

  with open('/proc/self/clear_refs', 'w') as stream:
    stream.write('5')  # the peak begins anew
  before = status('VmRSS')
  step()
  return status('VmHWM') - before


def measure() -> list[int]:
  """Returns the estimate for a step, and what it takes where nothing was freed before it."""
  inputs = keras.Input((96, 96, 3))
  x = inputs
  for channels in (24, 24, 24, 24):
    x = keras.layers.Conv2D(channels, 3, padding='same', use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation('relu')(x)
  model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
  optimizer = keras.optimizers.AdamW()
  optimizer.build(model.trainable_variables)

  @tf.function
  def step(pixels):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(model(pixels, training=True) ** 2)
    variables = [one.value for one in model.trainable_variables]
    optimizer.apply(tape.gradient(loss, variables))
    return loss

  # Traced and run on one image: the libraries have what they need for themselves.
  step(tf.zeros((1, 96, 96, 3)))
  pixels = tf.constant(np.random.default_rng(0).normal(size=(32, 96, 96, 3)), tf.float32)
  # It was measured after the runtime had what it needs.
  estimate = memory.estimate(model, 32) - memory.RUNTIME
  return [estimate, peak_of(lambda: step(pixels))]


@pytest.mark.skipif(not os.access('/proc/self/clear_refs', os.W_OK), reason='needs clear_refs')
def test_the_estimate_is_within_a_factor_of_2_of_what_a_step_takes():
  # In a process of its own: tests before this one leave memory that would be used again.
  code = 'from tests.unit.models.training import test_memory as t; print(t.measure())'
  done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
  estimate, taken = json.loads(done.stdout.splitlines()[-1])
  assert estimate > 300 * MIB
  assert 0.5 < estimate / taken < 2


class Machine:
  """A made-up /proc and /sys/fs/cgroup."""

  def __init__(self, tmp_path, monkeypatch, free):
    self.root = tmp_path / 'cgroup'
    self.root.mkdir()
    self.proc = tmp_path / 'self'
    self.proc.write_text('')
    monkeypatch.setattr(memory, '_PROC', self.proc)
    monkeypatch.setattr(memory, '_CGROUPS', self.root)
    monkeypatch.setattr(
      memory.psutil, 'virtual_memory', lambda: types.SimpleNamespace(available=free)
    )

  def write(self, folder, **files):
    place = self.root / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
      (place / name.replace('__', '.')).write_text(text)


@pytest.fixture
def machine(tmp_path, monkeypatch):
  return Machine(tmp_path, monkeypatch, free=1000)


def test_without_a_cgroup_all_of_the_machine_is_left(machine):
  assert memory.available() == 1000


def test_a_limit_of_version_2_less_what_is_used_and_cannot_be_dropped(machine):
  machine.proc.write_text('0::/user/job\n')
  machine.write(
    'user/job',
    memory__max='500\n',
    memory__current='300\n',
    memory__stat='anon 200\ninactive_file 50\n',
  )
  assert memory.available() == 250
  # A limit of a group above binds as well.
  machine.write(
    'user', memory__max='400\n', memory__current='350\n', memory__stat='inactive_file 0\n'
  )
  assert memory.available() == 50
  machine.write('user', memory__max='max\n')
  assert memory.available() == 250


def test_a_limit_of_version_1(machine):
  machine.proc.write_text('9:cpu,cpuacct:/other\n4:memory:/job\n')
  machine.write(
    'memory/job',
    memory__limit_in_bytes='900',
    memory__usage_in_bytes='890',
    memory__stat='total_inactive_file 20\n',
  )
  assert memory.available() == 30


def test_in_a_container_the_root_is_the_containers_own(machine):
  machine.proc.write_text('0::/path/of/the/host\n')
  machine.write('', memory__max='700', memory__current='100', memory__stat='inactive_file 0\n')
  assert memory.available() == 600
