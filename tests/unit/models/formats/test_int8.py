"""Eight bits: what is quantised, what is left alone, and that it still knows the pictures."""

import importlib.util

import numpy as np
import pytest

from models.formats import int8, openvino_file
from schemas.errors import ExportError

pytestmark = pytest.mark.skipif(
  importlib.util.find_spec('nncf') is None, reason="needs the extra 'fast'"
)


@pytest.fixture(scope='module')
def model(network):
  return openvino_file.convert(network)


def kinds(model, name):
  return [one for one in model.get_ops() if one.get_type_name() == name]


def sources(operation):
  return [one.get_source_output().get_node() for one in operation.inputs()]


def test_convolutions_are_quantised_and_what_follows_them_is_not(model, pixels, answers):
  quantized = int8.quantize(model, pixels)
  assert not kinds(model, 'FakeQuantize')  # the given one is left as it is
  eight = [
    one for one in kinds(quantized, 'Constant') if one.get_element_type().get_type_name() == 'i8'
  ]
  assert [one.get_output_shape(0)[0] for one in eight] == [4]  # the four filters, no dense layer
  for dense in kinds(quantized, 'MatMul'):
    assert 'FakeQuantize' not in {one.get_type_name() for one in sources(dense)}
  found = openvino_file.Runner(quantized)(pixels)
  apart = np.abs(found['probabilities'] - answers['probabilities']).max()
  assert 1e-6 < apart < 0.05  # eight bits are not nothing, and not much
  clear = np.sort(answers['probabilities'], axis=1)[:, -2] < answers['probability'] - 0.02
  np.testing.assert_array_equal(found['class_id'][clear], answers['class_id'][clear])
  assert clear.any()


def test_no_image_and_no_convolution_are_errors(model, pixels):
  import openvino as ov

  with pytest.raises(ExportError, match='images of train'):
    int8.quantize(model, pixels[:0])
  parameter = ov.opset8.parameter([1, 3], np.float32)
  dense = ov.Model([ov.opset8.relu(parameter)], [parameter])
  with pytest.raises(ExportError, match='with convolutions'):
    int8.quantize(dense, pixels)
