import pytest

from schemas.errors import ServingError
from serving import batching_parameters
from serving.batching_parameters import BatchingParameters


def write(tmp_path, text):
  path = tmp_path / 'batching_parameters.txt'
  path.write_text(text)
  return path


def test_a_file_of_tensorflow_serving_is_read(tmp_path):
  # The example of TensorFlow Serving's batching guide, with the sizes added.
  text = """
    max_batch_size { value: 128 }
    batch_timeout_micros { value: 0 }
    max_enqueued_batches { value: 1000 }
    num_batch_threads { value: 8 }
    allowed_batch_sizes: 32
    allowed_batch_sizes: 128
    thread_pool_name { value: 'mine' }
    pad_variable_length_inputs: true
    enable_large_batch_splitting { value: false }
    max_execution_batch_size { value: 128 }
  """
  assert batching_parameters.read(write(tmp_path, text)) == BatchingParameters(
    128, 0, 1000, 8, (32, 128)
  )


def test_what_a_file_leaves_out_keeps_its_default(tmp_path):
  found = batching_parameters.read(write(tmp_path, 'num_batch_threads { value: 3 }'))
  assert found == BatchingParameters(num_batch_threads=3)


@pytest.mark.parametrize(
  'text, part',
  [
    ('max_batch_size: 3', 'text format'),
    ('max_batchsize { value: 3 }', 'max_batchsize'),
    ('max_batch_size { value: 0 }', 'max_batch_size: expected at least 1. Received: 0'),
    ('batch_timeout_micros { value: -1 }', 'expected 0 or more'),
    ('max_batch_size { value: 4 } allowed_batch_sizes: 2', 'end with max_batch_size'),
    (
      'max_batch_size { value: 4 } allowed_batch_sizes: 4 allowed_batch_sizes: 2',
      r'ascending .*\[4, 2\]',
    ),
  ],
)
def test_a_mistake_is_told_with_its_file(tmp_path, text, part):
  with pytest.raises(ServingError, match=f'batching_parameters.txt: .*{part}'):
    batching_parameters.read(write(tmp_path, text))
