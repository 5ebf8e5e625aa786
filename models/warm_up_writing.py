"""Writes the requests that a server replays before a version answers anybody.

TensorFlow Serving's SavedModel Warmup reads them, and so does the embedded server: without
them the first client waits while the graph is optimised, 37 to 64 times as long as later ones.
"""

import pathlib

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from models import golden_images
from schemas import features, signatures


def write(export: pathlib.Path) -> None:
  """Writes assets.extra/tf_serving_warmup_requests: a request for each signature that answers.

  Args:
    export: the folder with saved_model.pb.
  """
  image = next(one.encoded for one in golden_images.make() if one.name == 'landscape.jpg')
  example = tf.train.Example()
  example.features.feature[features.IMAGE].bytes_list.value.append(image)
  requests = {
    signatures.SERVING_DEFAULT: (signatures.IMAGE_BYTES, image),
    signatures.SERVING_EXAMPLES: (signatures.EXAMPLES, example.SerializeToString()),
  }
  path = export / signatures.EXTRA_FOLDER / signatures.WARM_UP_FILE
  path.parent.mkdir(exist_ok=True)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for name, (key, value) in requests.items():
      log = prediction_log_pb2.PredictionLog()
      request = log.predict_log.request
      request.model_spec.signature_name = name
      request.inputs[key].CopyFrom(tf.make_tensor_proto([value]))
      writer.write(log.SerializeToString(deterministic=True))
