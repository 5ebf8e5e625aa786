"""A run by hand: a tiny export, what was evaluated of it, its data; and servers with faults."""

import base64
import contextlib
import csv
import functools
import http.server
import io
import json
import shutil
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from components.image_example_gen import records
from components.image_example_gen.inspection import Inspected
from components.image_example_gen.rows import Row
from models import image_file, measurements
from pipeline.diagnosis.subject import Subject
from schemas import features, signatures
from serving.servable import Servable
from tests.unit.serving import exports

VERSION, OLDER = '7', '3'
# A seed whose network tells these pictures apart, swapped channels as well.
NETWORK = 18
SCHEMA = """
  feature { name: "label" type: BYTES string_domain { value: "blue" value: "green" value: "red" } }
  feature { name: "image/format" type: BYTES }
  feature { name: "image/brightness" type: FLOAT }
  feature { name: "image/contrast" type: FLOAT }
  feature { name: "image/sharpness" type: FLOAT }
  feature { name: "image/aspect" type: FLOAT }
  feature { name: "image/width" type: INT }
  feature { name: "image/height" type: INT }
  feature { name: "image/bytes" type: INT }
"""


def pixels(seed: int, light: float = 1.0) -> np.ndarray:
  """A tinted, noisy picture, not square."""
  rng = np.random.default_rng(seed)
  tint = rng.uniform(40, 200, 3)
  noise = rng.normal(0, 25, (14, 23, 3))
  return (np.clip(tint + noise, 0, 255) * light).astype(np.uint8)


def png(array: np.ndarray) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(array).save(stream, 'PNG')
  return stream.getvalue()


def probabilities(pictures: list[np.ndarray], network) -> np.ndarray:
  """What the network says about pictures, outside of any export: float32 [N, 3]."""
  side = [exports.SIDE, exports.SIDE]
  resized = tf.image.resize(np.stack(pictures).astype(np.float32), side, antialias=True)
  return np.asarray(network(np.clip(resized, 0, 255), training=False))


@pytest.fixture(scope='session')
def say():
  """Returns say(seed, light): what the published network answers about a picture."""
  network = exports.network(NETWORK)

  @functools.cache
  def hundred(first, light):
    # At once: picture by picture it would take seconds.
    pictures = [pixels(seed, light) for seed in range(first, first + 100)]
    return probabilities(pictures, network).argmax(axis=1)

  def say(seed, light=1.0):
    return exports.LABELS[hundred(seed - seed % 100, light)[seed % 100]]

  return say


def _inspected(seed: int, label: str) -> Inspected:
  data = png(pixels(seed))
  return Inspected(
    Row(seed, f'{seed}.png', label),
    f'id-{seed}',
    'PNG',
    23,
    14,
    len(data),
    measurements.measure(pixels(seed)),
  )


@pytest.fixture(scope='session')
def run(tmp_path_factory, say) -> Subject:
  root = tmp_path_factory.mktemp('run')
  published = exports.write_image_model(root / 'serving' / 'colours' / VERSION, seed=NETWORK)
  exports.write_image_model(root / 'serving' / 'colours' / OLDER, seed=2)
  export = root / 'model' / 'Format-Serving'
  shutil.copytree(published, export)
  test = range(1000, 1060)
  split = root / 'examples' / 'Split-test'
  split.mkdir(parents=True)
  with tf.io.TFRecordWriter(str(split / 'data_tfrecord-00000-of-00001')) as writer:
    for seed in test:
      writer.write(exports.example(png(pixels(seed)), f'id-{seed}', say(seed)))
  network = exports.network(NETWORK)
  rows = probabilities([pixels(seed) for seed in test], network).tolist()
  (root / 'predictions').mkdir()
  pq.write_table(
    pa.table(
      {
        'image_id': [f'id-{seed}' for seed in test],
        'label': [say(seed) for seed in test],
        'label_id': [exports.LABELS.index(say(seed)) for seed in test],
        'candidate': pa.array(rows, pa.list_(pa.float32())),
      }
    ),
    root / 'predictions' / 'predictions.parquet',
  )
  train = [
    records.to_row(records.Accepted(_inspected(seed, say(seed)), features.TRAIN), ())
    for seed in range(2000, 2200)
  ]
  pq.write_table(pa.Table.from_pylist(train, records.parquet_schema(())), root / 'manifest.parquet')
  (root / 'schema.pbtxt').write_text(SCHEMA)
  return Subject(
    'run-1',
    VERSION,
    'colours',
    export,
    published,
    root / 'predictions',
    (str(split / '*'),),
    root / 'manifest.parquet',
    root / 'schema.pbtxt',
  )


@pytest.fixture(scope='session')
def servables(run):
  """The published version and the older one, loaded once."""
  loaded = [Servable(run.published), Servable(run.published.parent / OLDER)]
  yield loaded
  for servable in loaded:
    servable.close()


@pytest.fixture
def production(tmp_path):
  """Returns production(rows): a folder and a CSV of (seed, light, label[, predicted])."""

  def production(rows):
    folder = tmp_path / 'production'
    folder.mkdir()
    header = ['filename', 'label', 'predicted'][: len(rows[0]) - 1]
    with open(tmp_path / 'labels.csv', 'w', newline='') as stream:
      writer = csv.writer(stream)
      writer.writerow(header)
      for seed, light, *said in rows:
        name = f'{seed}.png'
        (folder / name).write_bytes(png(pixels(seed, light)))
        writer.writerow([name, *said])
    return folder, tmp_path / 'labels.csv'

  return production


@pytest.fixture(scope='session')
def faulty():
  """Returns faulty(servable, ...): a context with the URL of a server that has a fault."""

  @contextlib.contextmanager
  def faulty(servable, change=lambda image: image, order=(0, 1, 2), version=''):
    names = [exports.LABELS[index] for index in order]

    class Handler(http.server.BaseHTTPRequestHandler):
      def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['content-length'])))
        images = [change(base64.b64decode(one['b64'])) for one in body['instances']]
        images = [image_file.prepare(image).encoded for image in images]
        found = servable.run(
          signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: np.array(images, object)}
        )
        rows = found[signatures.PROBABILITIES].tolist()
        ids = found[signatures.CLASS_ID].tolist()
        answer = {
          'predictions': [
            {'probabilities': row, 'class_id': number, 'label': names[number]}
            for row, number in zip(rows, ids, strict=True)
          ]
        }
        self.send_response(200)
        if version:
          self.send_header('x-model-version', version)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

      def log_message(self, *_):
        pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
      yield f'http://127.0.0.1:{server.server_address[1]}'
    finally:
      server.shutdown()
      thread.join()
      server.server_close()

  return faulty
