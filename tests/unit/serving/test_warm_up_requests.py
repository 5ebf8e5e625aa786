import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from schemas.errors import ExportError, ServingError
from serving import warm_up_requests
from serving.warm_up import warm_up


class Spy:
  """Stands for a loaded version: remembers what it was asked."""

  def __init__(self, path):
    self.path, self.asked, self.signatures = path, [], {}

  def run(self, name, inputs):
    if name == 'absent':
      raise ServingError('no such signature')
    self.asked.append((name, {key: value.tolist() for key, value in inputs.items()}))


@pytest.fixture
def spy(tmp_path):
  (tmp_path / 'assets.extra').mkdir()
  return Spy(tmp_path)


def write(spy, *logs):
  with tf.io.TFRecordWriter(str(spy.path / warm_up_requests.FILE)) as writer:
    for log in logs:
      writer.write(log if isinstance(log, bytes) else log.SerializeToString())


def predict_log(value, signature=''):
  log = prediction_log_pb2.PredictionLog()
  log.predict_log.request.model_spec.signature_name = signature
  log.predict_log.request.inputs['x'].CopyFrom(tf.make_tensor_proto([value]))
  return log


def test_each_kind_of_request_is_replayed(spy):
  example = tf.train.Example()
  example.features.feature['a'].float_list.value.append(1.0)
  record = example.SerializeToString()
  classify = prediction_log_pb2.PredictionLog()
  classify.classify_log.request.model_spec.signature_name = 'c'
  classify.classify_log.request.input.example_list.examples.append(example)
  regress = prediction_log_pb2.PredictionLog()
  regress.regress_log.request.input.example_list.examples.append(example)
  both = prediction_log_pb2.PredictionLog()
  both.multi_inference_log.request.input.example_list.examples.append(example)
  for name in ('c', 'r'):
    both.multi_inference_log.request.tasks.add().model_spec.signature_name = name
  write(spy, predict_log(2.0, 'p'), classify, regress, both)
  warm_up(spy)
  examples = {'inputs': [record]}
  assert spy.asked == [
    ('p', {'x': [2.0]}),
    ('c', examples),
    ('serving_default', examples),
    ('c', examples),
    ('r', examples),
  ]


def test_a_model_that_does_not_answer_one_is_not_put_in_service(spy):
  write(spy, predict_log(1.0), predict_log(1.0, 'absent'))
  with pytest.raises(ServingError, match='no such signature'):
    warm_up(spy)


def test_a_file_that_is_none_and_one_that_is_too_long(spy):
  (spy.path / warm_up_requests.FILE).write_bytes(b'no records at all')
  with pytest.raises(ExportError, match='expected TFRecords'):
    warm_up(spy)
  write(spy, b'\xff\xff')
  with pytest.raises(ExportError, match='expected TFRecords'):
    warm_up(spy)
  write(spy, *[predict_log(1.0)] * 1001)
  with pytest.raises(ExportError, match='at most 1000'):
    warm_up(spy)


def test_no_file_is_fine(spy):
  assert warm_up_requests.replay(spy) == 0
