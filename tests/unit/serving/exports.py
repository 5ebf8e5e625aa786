"""Small real SavedModels and images that the tests of serving make themselves."""

import io
import json
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from models import decision, decoder, proof_writing
from schemas import features, signatures
from schemas.config import ImageConfig
from schemas.weights_hash import weights_sha256
from serving import model_config
from serving.server import EmbeddedServer, Settings

SIDE = 8
IMAGE = ImageConfig(height=SIDE, width=SIDE)
LABELS = ('blue', 'green', 'red')
# Of the class probabilities nothing is changed; what is not sure is foreign.
PLAIN = decision.Decision(1.0, (0.0,) * len(LABELS), 0.6)


def served(base: pathlib.Path, name: str, **settings: Any) -> EmbeddedServer:
  """A server of one model, on free ports."""
  return EmbeddedServer(
    model_config.single(name, base), Settings(**({'port': 0, 'grpc_port': 0} | settings))
  )


def picture(seed: int, width: int = 23, height: int = 14) -> Image.Image:
  values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
  return Image.fromarray(values, 'RGB')


def encoded(seed: int, form: str = 'PNG', width: int = 23, height: int = 14) -> bytes:
  stream = io.BytesIO()
  picture(seed, width, height).save(stream, form)
  return stream.getvalue()


def example(image: bytes, image_id: str, label: str = LABELS[0], leak: str | None = None) -> bytes:
  def feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

  return tf.train.Example(
    features=tf.train.Features(
      feature={
        features.IMAGE: feature(image),
        features.IMAGE_ID: feature(image_id.encode()),
        features.LABEL: feature(label.encode()),
      }
      | ({features.LEAK: feature(leak.encode())} if leak else {})
    )
  ).SerializeToString()


def network(seed: int) -> keras.Model:
  keras.utils.set_random_seed(seed)
  inputs = keras.Input([SIDE, SIDE, 3])
  hidden = keras.layers.Conv2D(4, 3, activation='relu', bias_initializer='uniform')(inputs / 255.0)
  outputs = keras.layers.Dense(len(LABELS), activation='softmax')(keras.layers.Flatten()(hidden))
  return keras.Model(inputs, outputs)


def write_image_model(path: pathlib.Path, seed: int = 0, without: str = '') -> pathlib.Path:
  """A tiny export with the three signatures of a Sightline export, or without one of them."""
  model = network(seed)
  labels = tf.constant(LABELS)

  def answer(image_bytes):
    probabilities = model(decoder.decode_batch(image_bytes, IMAGE), training=False)
    brightest = tf.reduce_max(probabilities, axis=-1)
    return decision.answer(PLAIN, tf.math.log(probabilities), 1 - brightest, list(LABELS))

  def parse(examples):
    return tf.io.parse_example(
      examples,
      {
        features.IMAGE: tf.io.FixedLenFeature([], tf.string),
        features.LABEL: tf.io.FixedLenFeature([], tf.string),
      },
    )

  def transform(examples):
    parsed = parse(examples)
    equal = tf.equal(parsed[features.LABEL][:, tf.newaxis], labels[tf.newaxis, :])
    known = tf.argmax(tf.cast(equal, tf.int64), axis=1)
    return {
      # As Transform's vocabulary has it.
      features.LABEL_ID: tf.where(tf.reduce_any(equal, axis=1), known, -1),
      features.IMAGE: parsed[features.IMAGE],
    }

  archive = keras.export.ExportArchive()
  archive.track(model)
  image_bytes = tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)
  examples = tf.TensorSpec([None], tf.string, name=signatures.EXAMPLES)
  endpoints = {
    signatures.SERVING_DEFAULT: (answer, image_bytes),
    signatures.SERVING_EXAMPLES: (
      lambda examples: answer(parse(examples)[features.IMAGE]),
      examples,
    ),
    signatures.TRANSFORM_FEATURES: (transform, examples),
  }
  for name, (function, spec) in endpoints.items():
    if name != without:
      archive.add_endpoint(name, function, [spec])
  archive.write_out(str(path), verbose=False)
  folder = path / 'assets.extra'
  folder.mkdir()
  (folder / signatures.IDENTITY_FILE).write_text(
    json.dumps({'run_id': f'seed-{seed}', 'labels': LABELS, 'weights_sha256': weights_sha256(path)})
  )
  proof_writing.write(path, lambda pixels: tf.math.log(model(pixels, training=False)), PLAIN, IMAGE)
  return path


def expected_probabilities(seed: int, image: Image.Image) -> np.ndarray:
  """The same network, outside of any export, on pixels that Pillow decoded."""
  pixels = np.asarray(image.convert('RGB'), np.float32)
  resized = np.asarray(
    tf.clip_by_value(tf.image.resize(pixels, [SIDE, SIDE], antialias=True), 0.0, 255.0)
  )
  return np.asarray(network(seed)(resized[None], training=False))[0]


def write_unservable_model(path: pathlib.Path) -> pathlib.Path:
  """What tf.saved_model.save makes of a Keras model: Python runs it, a session cannot."""
  model = network(0)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)])
  def answer(image_bytes):
    return {signatures.PROBABILITIES: model(decoder.decode_batch(image_bytes, IMAGE))}

  tf.saved_model.save(model, str(path), signatures={signatures.SERVING_DEFAULT: answer})
  return path


def write_affine_model(path: pathlib.Path, slope: float = 0.5, offset: float = 2.0) -> pathlib.Path:
  """y = slope * x + offset on float32 [N], and two further signatures with other types."""
  v1 = tf.compat.v1
  with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None], 'x')
    a = v1.get_variable('a', initializer=slope, use_resource=True)
    b = v1.get_variable('b', initializer=offset, use_resource=True)
    y = a * x + b
    count = v1.placeholder(tf.int64, [None], 'count')
    flag = v1.placeholder(tf.bool, [None], 'flag')
    text = v1.placeholder(tf.string, [None], 'text')
    session.run([a.initializer, b.initializer])
    builder = v1.saved_model.Builder(str(path))
    predict = v1.saved_model.predict_signature_def
    builder.add_meta_graph_and_variables(
      session,
      [tf.saved_model.SERVING],
      {
        'serving_default': predict({'x': x}, {'y': y}),
        'two': predict(
          {'x': x, 'count': count}, {'sum': x + tf.cast(count, tf.float32), 'count': count + 1}
        ),
        'kinds': predict(
          {'flag': flag, 'text': text},
          {'not': tf.logical_not(flag), 'text': tf.identity(text), 'raw_bytes': tf.identity(text)},
        ),
        'uneven': predict({'x': x}, {'y': y, 'total': tf.reduce_sum(x)}),
      },
    )
    builder.save()
  return path
