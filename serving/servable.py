"""One loaded SavedModel, run as TensorFlow Serving runs it.

The loader of TensorFlow Serving works on graphs and sessions, and so does this
one: an export that it could not run ("Could not find variable ...") fails here
too, where tf.saved_model.load would not notice.
"""

import contextlib
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256

Call = Callable[..., Sequence[np.ndarray]]

# The saver's own entry among the signatures.
_INIT_SIGNATURE = '__saved_model_init_op'


class NotNowError(OSError):
  """A version could not be loaded for a reason that is not its own; it may be tried again."""


class Servable:
  """A SavedModel in a session of its own.

  `run` may be called from many threads at once.

  Attributes:
    path: the folder with saved_model.pb.
    signatures: SignatureDefs by name, as the export declares them.
    weights_sha256: of the variables; '' for a model without any.
  """

  _session: tf.compat.v1.Session | None = None

  def __init__(self, path: pathlib.Path | str):
    """Loads the export.

    Raises:
      ExportError: the folder holds no SavedModel that a session can load.
      OSError: its variables cannot be read, or NotNowError.
    """
    self.path = pathlib.Path(path)
    self.weights_sha256 = _hash_or_empty(self.path)
    self.signatures: dict[str, meta_graph_pb2.SignatureDef] = {}
    self._calls: dict[str, Call] = {}
    try:
      self._open()
    except NotNowError:
      self.close()
      raise
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
      self.close()
      raise ExportError(
        f'{self.path}: expected a SavedModel that a session can load. Received: {error} '
        'Export the model again.'
      ) from error

  def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
    """Returns the SignatureDef of that name.

    Raises:
      ServingError: there is none.
    """
    if name not in self.signatures:
      raise ServingError(
        f'{self.path}: expected one of the signatures {", ".join(sorted(self.signatures))}. '
        f'Received: {name}.'
      )
    return self.signatures[name]

  def run(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs one signature.

    Args:
      signature_name: one of `signatures`.
      inputs: an array for each input of the signature; of bytes objects (dtype
        object) where the signature wants strings.

    Returns:
      An array for each output of the signature.

    Raises:
      ServingError: there is no such signature, or an input is missing.
      tf.errors.OpError: the graph refused the values, as InvalidArgumentError
        does for bytes that are no image.
    """
    signature = self.signature(signature_name)
    missing = sorted(set(signature.inputs) - set(inputs))
    if missing:
      raise ServingError(
        f'{signature_name}: expected the inputs {", ".join(sorted(signature.inputs))}. '
        f'Missing: {", ".join(missing)}.'
      )
    arrays = [
      np.asarray(inputs[key], numpy_dtype(signature.inputs[key]))
      for key in sorted(signature.inputs)
    ]
    try:
      outputs = self._calls[signature_name](*arrays)
    except UnicodeDecodeError as error:
      # A refusal that quotes its input, such as the name of a feature in a broken tf.Example:
      # TensorFlow cannot tell Python of it.
      told = error.object.decode(errors='replace')
      raise tf.errors.InvalidArgumentError(None, None, told) from error
    return dict(zip(sorted(signature.outputs), outputs, strict=True))

  def close(self) -> None:
    """Frees the session; `run` fails from here on."""
    if self._session is not None:
      self._session.close()

  def _open(self) -> None:
    self._session, self.signatures = open_session(self.path)
    self._calls = make_calls(self._session, self.signatures)


def open_session(
  path: pathlib.Path,
) -> tuple[tf.compat.v1.Session, dict[str, meta_graph_pb2.SignatureDef]]:
  """Loads an export as it is.

  Returns:
    The session, and the SignatureDefs by name.

  Raises:
    OSError, ValueError, RuntimeError, tf.errors.OpError: it cannot be loaded.
  """
  session = tf.compat.v1.Session(graph=tf.Graph(), config=unoptimised())
  try:
    with session.graph.as_default():
      meta_graph = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(path))
  except BaseException:
    session.close()
    raise
  return session, signatures_of(meta_graph)


def signatures_of(
  meta_graph: meta_graph_pb2.MetaGraphDef,
) -> dict[str, meta_graph_pb2.SignatureDef]:
  """Returns the SignatureDefs that can be asked for, by name."""
  return {name: one for name, one in meta_graph.signature_def.items() if name != _INIT_SIGNATURE}


def make_calls(
  session: tf.compat.v1.Session, signatures: Mapping[str, meta_graph_pb2.SignatureDef]
) -> dict[str, Call]:
  """Returns a call for each signature: made ahead, so that no request waits for it."""
  return {name: _make_call(session, one) for name, one in signatures.items()}


def numpy_dtype(info: meta_graph_pb2.TensorInfo) -> np.dtype:
  """Returns the dtype in which a tensor is fed; object for strings."""
  return np.dtype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype)


def _make_call(session: tf.compat.v1.Session, signature: meta_graph_pb2.SignatureDef) -> Call:
  """Returns a signature as a call: its inputs in the order of their names, its outputs in theirs.

  Raises:
    ValueError, tf.errors.OpError: the session's graph has not what the signature names.
  """
  # The public run() and make_callable() compare each shape with the
  # placeholder's and refuse what TensorFlow Serving takes.
  options = config_pb2.CallableOptions()
  options.feed.extend(signature.inputs[key].name for key in sorted(signature.inputs))
  options.fetch.extend(signature.outputs[key].name for key in sorted(signature.outputs))
  return session._make_callable_from_options(options)


def unoptimised() -> config_pb2.ConfigProto:
  """Returns the settings of a session that runs a graph as it is."""
  # On a graph that reads its weights from variables TensorFlow's optimiser gains nothing
  # (benchmarks/frozen_weights.py), and takes seconds of a processor for each signature.
  config = config_pb2.ConfigProto()
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  return config


def _hash_or_empty(path: pathlib.Path) -> str:
  with contextlib.suppress(ExportError):
    return weights_sha256(path)
  return ''
