"""The requests that an export is warmed with; test_export.py has them answered."""

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from models import warm_up_writing


def test_they_are_images_as_a_client_sends_them(tmp_path):
  warm_up_writing.write(tmp_path)
  file = tmp_path / 'assets.extra/tf_serving_warmup_requests'
  records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
  first = prediction_log_pb2.PredictionLog.FromString(records[0]).predict_log.request
  (image,) = tf.make_ndarray(first.inputs['image_bytes'])
  assert image.startswith(b'\xff\xd8\xff')
