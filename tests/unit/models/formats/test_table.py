"""Every format writes a file that answers as the network does, by the names of its outputs."""

import importlib.util
import subprocess
import sys
import threading

import numpy as np
import pytest

from models.formats import openvino_file, packages, table
from schemas.errors import ConfigError, ExportError

NEEDS = {'litert': ('tensorflow',), 'onnx': ('tf2onnx', 'onnxruntime'), 'openvino': ('openvino',)}


def needs(*names):
  # Not by importing it: OpenVINO would report its use before packages.load forbids it.
  if not all(map(importlib.util.find_spec, names)):
    pytest.skip("needs the extra 'fast'")


@pytest.mark.parametrize('name', table.FORMATS)
def test_a_file_answers_as_the_network_for_any_number_of_images(
  name, network, pixels, answers, tmp_path
):
  needs(*NEEDS[name])
  row = table.find(name)
  row.write(network, tmp_path)
  assert (tmp_path / row.file).stat().st_size > 1000
  run = row.load(tmp_path)
  for count in (1, len(pixels), 3):
    found = run(pixels[:count])
    assert sorted(found) == sorted(answers)
    for key, expected in answers.items():
      assert found[key].shape == expected[:count].shape
      np.testing.assert_allclose(found[key], expected[:count], atol=1e-5, err_msg=key)


def test_threads_do_not_mix_answers(network, pixels, answers):
  needs('openvino')
  run = openvino_file.Runner(openvino_file.convert(network))
  wrong = []

  def ask(first):
    for place in range(first, len(pixels), 4):
      found = run(pixels[place : place + 1])['probabilities'][0]
      if not np.allclose(found, answers['probabilities'][place], atol=1e-5):
        wrong.append(place)

  threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not wrong


def test_an_unknown_format_and_a_missing_package_are_named():
  with pytest.raises(ConfigError, match='litert, onnx, openvino. Received: coreml'):
    table.find('coreml')
  with pytest.raises(ExportError, match=r"absent_package.*pip install 'sightline\[fast\]'"):
    packages.load('absent_package', 'format x')


def test_nobody_is_told_that_openvino_is_used():
  needs('openvino')
  code = (
    'import sys; from models.formats import packages; packages.load("openvino", "x"); '
    'from openvino.tools.ovc import convert_impl; print(convert_impl.tm.__name__)'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == 'openvino.tools.ovc.telemetry_stub'


def test_a_file_that_is_none_is_an_error_of_the_export(tmp_path):
  needs('openvino')
  (tmp_path / openvino_file.FILE).write_text('nothing')
  with pytest.raises(ExportError, match='cannot be compiled'):
    openvino_file.load(tmp_path)
