"""The models that the cases ask: kilobytes, with answers that a person can compute.

The arithmetic of half_plus_two and half_plus_three is that of TensorFlow Serving's own
test data; the graphs are written here.

  python -m tests.e2e.conformance.models DIR [BASE]

writes them below DIR together with models.config, in which they lie below BASE.
"""

import pathlib
import shutil
import sys
from collections.abc import Mapping

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

v1 = tf.compat.v1

CONFIG_FILE = 'models.config'
WARM_UP = 'assets.extra/tf_serving_warmup_requests'
# Of both half_plus_two models and half_plus_three; the folder's name has leading zeros.
VERSION = 123
VERSION_FOLDER = '00000123'
NEXT_VERSION = 124
# A name that a URL can only hold percent-encoded.
ODD_NAME = 'team/half plus three'
STABLE, CANARY = 'stable', 'canary'
IDENTITIES = ('float32', 'float64', 'int32', 'int64', 'uint8', 'bool', 'string', 'half')


def write_all(folder: pathlib.Path) -> None:
  """Writes every model below `folder`, unless that was done before."""
  if (folder / 'examples').exists():
    return
  for name, offset in (('half_plus_two', 2.0), ('half_plus_three', 3.0)):
    write_half_plus(folder / name / VERSION_FOLDER, offset)
  write_half_plus_two_tf2(folder / 'half_plus_two_tf2' / VERSION_FOLDER)
  for version, name in ((VERSION, 'half_plus_two'), (NEXT_VERSION, 'half_plus_three')):
    shutil.copytree(folder / name / VERSION_FOLDER, folder / 'two_versions' / f'{version:08}')
  write_kinds(folder / 'kinds' / '1')
  write_examples(folder / 'examples' / '1')


def config(base: pathlib.PurePath) -> model_server_config_pb2.ModelServerConfig:
  """Returns the config that serves them all; labels come later, upon loaded versions."""
  made = model_server_config_pb2.ModelServerConfig()
  for name in ('half_plus_two', 'half_plus_two_tf2', 'half_plus_three', 'kinds', 'examples'):
    add(made, name, base / name)
  add(made, ODD_NAME, base / 'half_plus_three')
  both = add(made, 'two_versions', base / 'two_versions')
  both.model_version_policy.specific.versions.extend([VERSION, NEXT_VERSION])
  return made


def labelled(base: pathlib.PurePath) -> model_server_config_pb2.ModelServerConfig:
  """Returns the config of every case that does not bring its own."""
  made = config(base)
  for one in made.model_config_list.config:
    if one.name == 'two_versions':
      one.version_labels[STABLE] = VERSION
      one.version_labels[CANARY] = NEXT_VERSION
  return made


def add(made: model_server_config_pb2.ModelServerConfig, name: str, base_path: pathlib.PurePath):
  return made.model_config_list.config.add(
    name=name, base_path=str(base_path), model_platform='tensorflow'
  )


def write_config(path: pathlib.Path, made: model_server_config_pb2.ModelServerConfig) -> None:
  path.write_text(text_format.MessageToString(made), encoding='utf-8')


def write_half_plus(path: pathlib.Path, offset: float) -> None:
  """y = x / 2 + offset: predict on float32, classify and regress on tf.Examples."""
  with tf.Graph().as_default(), v1.Session() as session:
    a = v1.get_variable('a', initializer=0.5, use_resource=True)
    b = v1.get_variable('b', initializer=offset, use_resource=True)
    records = v1.placeholder(tf.string, name='tf_example')
    parsed = v1.parse_example(records, {'x': v1.FixedLenFeature([1], tf.float32)})
    x = v1.placeholder(tf.float32, [None, 1], 'x')
    y = tf.add(a * x, b, name='y')
    of_example = tf.add(a * parsed['x'], b, name='of_example')
    session.run([a.initializer, b.initializer])
    _save(
      path,
      session,
      {
        'serving_default': _signature('predict', {'x': x}, {'y': y}),
        'regress_x_to_y': _signature('regress', {'inputs': records}, {'outputs': of_example}),
        'classify_x_to_y': _signature('classify', {'inputs': records}, {'scores': of_example}),
        # Its input is no tf.Example.
        'regress_number': _signature('regress', {'inputs': x}, {'outputs': y}),
      },
    )


class _HalfPlusTwo(tf.Module):
  """The same arithmetic, saved as TensorFlow 2 saves it."""

  def __init__(self):
    super().__init__()
    self.a = tf.Variable(0.5)
    self.b = tf.Variable(2.0)

  def _of_examples(self, records):
    parsed = tf.io.parse_example(records, {'x': tf.io.FixedLenFeature([1], tf.float32)})
    return self.a * parsed['x'] + self.b

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, 'x')])
  def predict(self, x):
    return {'y': self.a * x + self.b}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'inputs')])
  def regress(self, inputs):
    return {'outputs': self._of_examples(inputs)}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'inputs')])
  def classify(self, inputs):
    return {'scores': self._of_examples(inputs)}


def write_half_plus_two_tf2(path: pathlib.Path) -> None:
  module = _HalfPlusTwo()
  tf.saved_model.save(
    module,
    str(path),
    signatures={
      'serving_default': module.predict,
      'regress_x_to_y': module.regress,
      'classify_x_to_y': module.classify,
    },
  )


def write_kinds(path: pathlib.Path) -> None:
  """Values that come back as they went in, of every type, and outputs of awkward shapes."""
  with tf.Graph().as_default(), v1.Session() as session:
    signatures = {}
    for name in IDENTITIES:
      value = v1.placeholder(getattr(tf, name), name=name)
      signatures[name] = _signature('predict', {'value': value}, {'value': tf.identity(value)})
    text = v1.placeholder(tf.string, name='text')
    same = tf.identity(text)
    signatures['serving_default'] = _signature(
      'predict',
      {'text': text},
      {'text': same, 'text_bytes': same, 'length': tf.strings.length(text)},
    )
    signatures['only_bytes'] = _signature('predict', {'text': text}, {'text_bytes': same})
    flag = v1.placeholder(tf.bool, name='flag')
    count = v1.placeholder(tf.int64, name='count')
    signatures['flags'] = _signature(
      'predict',
      {'flag': flag, 'count': count},
      {'not': tf.logical_not(flag), 'next': count + 1},
    )
    number = v1.placeholder(tf.float32, name='number')
    total = tf.reduce_sum(number)
    signatures['uneven'] = _signature('predict', {'x': number}, {'x': number * 2, 'total': total})
    signatures['total'] = _signature('predict', {'x': number}, {'total': total})
    signatures['first'] = _signature('predict', {'x': number}, {'x': number * 2, 'one': number[:1]})
    signatures['none'] = _signature('predict', {'x': number}, {'rest': number[:0]})
    signatures['complex'] = _signature('predict', {'x': number}, {'z': tf.complex(number, number)})
    _save(path, session, signatures)


def write_examples(path: pathlib.Path) -> None:
  """Classifiers and regressors of tf.Examples with x, y (float), n (int64) and s (bytes)."""
  with tf.Graph().as_default(), v1.Session() as session:
    records = v1.placeholder(tf.string, [None], name='records')
    parsed = v1.parse_example(
      records,
      {
        'x': v1.FixedLenFeature([1], tf.float32, [0.0]),
        'y': v1.FixedLenFeature([1], tf.float32, [0.0]),
        'n': v1.FixedLenFeature([1], tf.int64, [0]),
        's': v1.FixedLenFeature([1], tf.string, ['']),
      },
    )
    x, y, s = parsed['x'], parsed['y'], parsed['s']
    scores = tf.concat([x, y], 1)
    classes = tf.tile(tf.constant([['first', 'second']]), [tf.shape(x)[0], 1])
    given = {'inputs': records}

    def regress(outputs):
      return _signature('regress', given, {'outputs': outputs})

    _save(
      path,
      session,
      {
        'serving_default': _signature('classify', given, {'classes': classes, 'scores': scores}),
        'classes': _signature('classify', given, {'classes': s}),
        'scores': _signature('classify', given, {'scores': scores}),
        'scores_and_more': _signature('classify', given, {'scores': scores, 'sum': x + y}),
        'sum': regress(x + y),
        'flat_sum': regress(tf.squeeze(x + y, 1)),
        'quotient': regress(x / y),
        'count': regress(tf.cast(parsed['n'], tf.float32)),
        'wide': regress(scores),
        'lengths': _signature('predict', given, {'lengths': tf.strings.length(s)}),
      },
    )


def write_warm_up(version: pathlib.Path, logs: list[prediction_log_pb2.PredictionLog]) -> None:
  """Gives a version requests that are replayed before it answers anybody."""
  path = version / WARM_UP
  path.parent.mkdir(exist_ok=True)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for log in logs:
      writer.write(log.SerializeToString())


def _signature(method: str, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]):
  build = v1.saved_model.build_tensor_info
  return v1.saved_model.build_signature_def(
    {name: build(tensor) for name, tensor in inputs.items()},
    {name: build(tensor) for name, tensor in outputs.items()},
    f'tensorflow/serving/{method}',
  )


def _save(path: pathlib.Path, session, signatures) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  builder = v1.saved_model.Builder(str(path))
  builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures)
  builder.save()


if __name__ == '__main__':
  target = pathlib.Path(sys.argv[1]).absolute()
  write_all(target)
  write_config(target / CONFIG_FILE, config(pathlib.PurePosixPath([*sys.argv, target][2])))
