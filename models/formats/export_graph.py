"""An export cut in two: the decoder up to the pixels, and the network behind them.

Both parts are taken from the graph of the export itself. No second decoder, and no second
decision layer (temperature, thresholds, ood_score), could differ from what was evaluated.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.framework import convert_to_constants
from tensorflow.python.grappler import tf_optimizer

from models import graph_pruning
from schemas import signatures
from schemas.errors import ExportError

# The input of the network, in every format.
PIXELS = 'pixels'

# Of a run, in place of a pool of threads: the thread that asks.
_OF_THE_CALLER = -1


@dataclasses.dataclass(frozen=True)
class Network:
  """From pixels to everything that the export answers but names.

  Attributes:
    graph: frozen; its input is the placeholder `pixels`, float32 [N, height, width, 3], RGB,
      0..255, each of its outputs a node of that output's name.
    outputs: their names, sorted.
    height: of the input, in pixels.
    width: of the input, in pixels.
  """

  graph: graph_pb2.GraphDef
  outputs: tuple[str, ...]
  height: int
  width: int

  def function(self) -> Callable:
    """Returns it as a concrete function: pixels to a tuple in the order of `outputs`."""
    wrapped = tf.compat.v1.wrap_function(
      lambda: tf.graph_util.import_graph_def(self.graph, name=''), []
    )
    find = wrapped.graph.get_tensor_by_name
    return wrapped.prune([find(f'{PIXELS}:0')], [find(f'{name}:0') for name in self.outputs])


class Decoder:
  """The decoder of one signature: encoded images, or records, to pixels.

  May be called from many threads at once.
  """

  def __init__(self, graph: graph_pb2.GraphDef, feed: str, pixels: str):
    """Makes a session for one image and one for several.

    Args:
      graph: of the decoder, its loops as functions.
      feed: name of the tensor of the encoded images, or records.
      pixels: name of the tensor of the pixels.
    """
    self._sessions: list[tf.compat.v1.Session] = []
    options = config_pb2.CallableOptions(feed=[feed], fetch=[pixels])
    # The loop over the images taken apart, so that several are decoded at a time.
    several = graph_pb2.GraphDef()
    several.CopyFrom(graph)
    for node in several.node:
      if node.op in ('While', 'StatelessWhile'):
        node.attr['_lower_using_switch_merge'].b = True
    self._many = self._open(several, config_pb2.ConfigProto(), options)
    # The hundreds of small steps of one image would only wait for each other's threads.
    config = config_pb2.ConfigProto()
    config.experimental.executor_type = 'SINGLE_THREADED_EXECUTOR'
    options.run_options.inter_op_thread_pool = _OF_THE_CALLER
    self._one = self._open(graph, config, options)

  def _open(
    self,
    graph: graph_pb2.GraphDef,
    config: config_pb2.ConfigProto,
    options: config_pb2.CallableOptions,
  ) -> Callable[[np.ndarray], list[np.ndarray]]:
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    self._sessions.append(session)
    with session.graph.as_default():
      tf.graph_util.import_graph_def(graph, name='')
    # As serving/servable.py calls a signature.
    return session._make_callable_from_options(options)

  def __call__(self, values: np.ndarray) -> np.ndarray:
    """Decodes a batch.

    Args:
      values: bytes objects (dtype object) [N].

    Returns:
      float32 [N, height, width, 3], RGB, 0..255.

    Raises:
      tf.errors.InvalidArgumentError: one of them is no image.
    """
    return (self._one if len(values) == 1 else self._many)(values)[0]

  def close(self) -> None:
    """Frees the sessions."""
    for session in self._sessions:
      session.close()


class ExportGraph:
  """The frozen graphs of an export's signatures that take images."""

  def __init__(self, export: pathlib.Path | str):
    """Reads the export.

    Raises:
      ExportError: there is no SavedModel that can be read.
    """
    self.path = pathlib.Path(export)
    try:
      # Held: a function does not keep its variables.
      self._loaded = tf.saved_model.load(str(self.path))
    except (OSError, ValueError, tf.errors.OpError) as error:
      raise ExportError(
        f'{self.path}: expected a SavedModel. Received: {error} Name the folder of a version '
        'that Sightline published.'
      ) from error

  def network(self) -> Network:
    """Cuts out what lies behind the pixels of serving_default.

    Raises:
      ExportError: the export has no such signature, or no one place where its pixels pass.
    """
    function = self._function(signatures.SERVING_DEFAULT)
    inline = _inline(function)
    nodes = {node.name: node for node in inline.node}
    names = sorted(function.structured_outputs)
    outputs = {
      name: tensor
      for name, tensor in zip(names, function.outputs, strict=True)
      if tensor.dtype != tf.string
    }
    cut = self._pixels(nodes, [tensor.op.name for tensor in outputs.values()])
    height, width = _sides(nodes[cut])
    graph = graph_pb2.GraphDef(versions=inline.versions)
    graph.node.append(
      node_def_pb2.NodeDef(
        name=PIXELS,
        op='Placeholder',
        attr={
          'dtype': nodes[cut].attr['T'],
          'shape': nodes[cut].attr['shape'],
        },
      )
    )
    kept = _behind(nodes, [tensor.op.name for tensor in outputs.values()], {cut})
    captured = _captured(function)
    for node in inline.node:
      if node.name in kept and node.name != cut and node.name not in captured:
        graph.node.append(_fed_by(node, cut))
    graph.library.function.extend(graph_pruning.functions_of(graph.node, inline.library))
    for name, tensor in outputs.items():
      place = tensor.op.name
      graph.node.append(
        node_def_pb2.NodeDef(
          name=name,
          op='Identity',
          input=[PIXELS if place == cut else place],
          attr={'T': _dtype(tensor.dtype)},
        )
      )
    if _feed(function) in kept:
      raise self._not_cut('outputs that depend on the encoded image beside its pixels')
    return Network(_freeze(graph, tuple(outputs), function), tuple(outputs), height, width)

  def decoder(self, signature: str) -> Decoder:
    """Cuts out the decoder of a signature that takes images or records.

    Raises:
      ExportError: as `network`.
    """
    function = self._function(signature)
    inline = _inline(function, loops_stay=True)
    nodes = {node.name: node for node in inline.node}
    outputs = [tensor.op.name for tensor in function.outputs if tensor.dtype != tf.string]
    cut = self._pixels(nodes, outputs)
    # With what its Asserts hang on; without the weights.
    graph = graph_pruning.pruned(_let_go(inline, set(_captured(function))), [cut])
    feed = _feed(function)
    if any(node.op == 'Placeholder' and node.name != feed for node in graph.node):
      raise self._not_cut('pixels that depend on weights')
    return Decoder(graph, f'{feed}:0', f'{cut}:0')

  def _function(self, signature: str) -> Any:
    if signature not in self._loaded.signatures:
      raise ExportError(
        f'{self.path}: expected the signature {signature}. Received: '
        f'{", ".join(sorted(self._loaded.signatures)) or "none"}.'
      )
    return self._loaded.signatures[signature]

  def _pixels(self, nodes: dict[str, node_def_pb2.NodeDef], outputs: Sequence[str]) -> str:
    """Returns the node whose output are the pixels: the end of models.decoder.decode_batch."""
    found = [
      name
      for name in _behind(nodes, outputs, set())
      if nodes[name].op == 'EnsureShape'
      and nodes[_source(nodes[name].input[0])].op == 'TensorListStack'
    ]
    if len(found) != 1:
      raise self._not_cut(f'{len(found)} places that look like the end of the decoder')
    return found[0]

  def _not_cut(self, received: str) -> ExportError:
    return ExportError(
      f'{self.path}: expected an export of Sightline, with one place where the decoded pixels '
      f'enter the network. Received: {received}. Export the model again: sightline run CONFIG'
    )


def _inline(function: Any, loops_stay: bool = False) -> graph_pb2.GraphDef:
  """Returns the graph of a concrete function with its calls in line.

  Args:
    function: of a signature.
    loops_stay: leave loops and conditions as functions; by default those of them that TensorFlow
      would take apart are.
  """
  graph = function.graph.as_graph_def()
  if loops_stay:
    graph = convert_to_constants.disable_lower_using_switch_merge(graph)
  meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph, graph=function.graph)
  ends = [tensor.name for tensor in (*function.inputs, *function.outputs)]
  meta_graph.collection_def['train_op'].node_list.value.extend(ends)
  config = config_pb2.ConfigProto()
  rewriting = config.graph_options.rewrite_options
  rewriting.min_graph_nodes = -1
  rewriting.optimizers.append('function')
  return tf_optimizer.OptimizeGraph(config, meta_graph)


def _captured(function: Any) -> dict[str, tf.Tensor]:
  """Returns what a graph gets from outside, its variables, by the placeholder of each."""
  inside = [tensor.op.name for tensor in function.graph.internal_captures]
  return dict(zip(inside, function.captured_inputs, strict=True))


def _feed(function: Any) -> str:
  (name,) = {tensor.op.name for tensor in function.inputs} - set(_captured(function))
  return name


def _freeze(graph: graph_pb2.GraphDef, outputs: Sequence[str], function: Any) -> graph_pb2.GraphDef:
  """Makes constants of the variables of the concrete function that a part was cut from."""

  def imported() -> None:
    capture = tf.compat.v1.get_default_graph().capture
    weights = {f'{name}:0': capture(value) for name, value in _captured(function).items()}
    tf.graph_util.import_graph_def(graph, input_map=weights, name='')

  wrapped = tf.compat.v1.wrap_function(imported, [])
  wrapped.graph.variables = function.graph.variables
  find = wrapped.graph.get_tensor_by_name
  # Of this part alone: a function of the decoder has one name in every graph of an export, and
  # TensorFlow takes a name but once.
  part = wrapped.prune([find(f'{PIXELS}:0')], [find(f'{name}:0') for name in outputs])
  return convert_to_constants.convert_variables_to_constants_v2(part).graph.as_graph_def()


def _let_go(graph: graph_pb2.GraphDef, names: set[str]) -> graph_pb2.GraphDef:
  """Returns the graph where nothing waits for these nodes, which have no effect, to have run.

  A call that was put in line waits for all its arguments.
  """
  passed_on = set(names)
  nodes = {node.name: node for node in graph.node if node.op == 'Identity'}
  for name in nodes:
    chain = [name]
    while chain[-1] in nodes:
      chain.append(_source(nodes[chain[-1]].input[0]))
    if chain[-1] in names:
      passed_on.update(chain)
  freed = graph_pb2.GraphDef()
  freed.CopyFrom(graph)
  for node in freed.node:
    kept = [name for name in node.input if not (name[0] == '^' and _source(name) in passed_on)]
    del node.input[:]
    node.input.extend(kept)
  return freed


def _behind(
  nodes: dict[str, node_def_pb2.NodeDef], outputs: Sequence[str], stop: set[str]
) -> set[str]:
  """Returns the nodes that the outputs are computed from, no farther than `stop`."""
  seen, waiting = set(outputs), collections.deque(outputs)
  while waiting:
    name = waiting.popleft()
    if name in stop:
      continue
    for source in map(_source, _data(nodes[name])):
      if source not in seen:
        seen.add(source)
        waiting.append(source)
  return seen


def _data(node: node_def_pb2.NodeDef) -> list[str]:
  # A control input is the order of things, such as an Assert of the decoder; no value.
  return [name for name in node.input if not name.startswith('^')]


def _source(name: str) -> str:
  return name.removeprefix('^').partition(':')[0]


def _fed_by(node: node_def_pb2.NodeDef, cut: str) -> node_def_pb2.NodeDef:
  copy = node_def_pb2.NodeDef()
  copy.CopyFrom(node)
  # "On the device of that node", which may be left out; here all are on one.
  copy.attr.pop('_class', None)
  del copy.input[:]
  copy.input.extend(PIXELS if _source(name) == cut else name for name in _data(node))
  return copy


def _sides(node: node_def_pb2.NodeDef) -> tuple[int, int]:
  dimensions = [dimension.size for dimension in node.attr['shape'].shape.dim]
  return dimensions[1], dimensions[2]


def _dtype(dtype: tf.DType):
  return tf.compat.v1.AttrValue(type=dtype.as_datatype_enum)
