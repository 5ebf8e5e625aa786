"""A version whose weights are constants of its graph: the same answers, sooner.

A session reads every variable anew for each request, and cannot compute ahead what depends
on weights alone. With constants in their place TensorFlow's optimiser can, and has less to
do when a version is loaded. TensorFlow Serving has no such step: it answers the same, but for
the rounding of float32.
"""

import graphlib
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf
from google.protobuf.message import EncodeError
from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.framework import convert_to_constants, op_def_registry

from serving.servable import Call, Servable, make_call

# Of the variables' files; a graph with its constants has to stay below 2 GiB.
_MOST_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20
# What hands out or reads a variable and changes none.
_READING = frozenset(
  ['VarHandleOp', 'VariableV2', 'Variable', 'ReadVariableOp', 'ResourceGather', 'ResourceGatherNd']
)


class FrozenServable(Servable):
  """A version whose weights are constants; the same face as Servable.

  A signature that needs more than weights, such as a vocabulary's table or a counter, runs as
  it was exported, and so does a whole version of more than 1 GiB.
  """

  _frozen: tf.compat.v1.Session | None = None

  def close(self) -> None:
    """Frees the sessions; `run` fails from here on."""
    if self._frozen is not None:
      self._frozen.close()
    super().close()

  def _make_calls(self) -> dict[str, Call]:
    if _bytes_of_variables(self.path) > _MOST_BYTES:
      return super()._make_calls()
    graph = self._session.graph.as_graph_def()
    fit = {name: one for name, one in self.signatures.items() if only_reads_weights(graph, one)}
    if not fit:
      return super()._make_calls()
    try:
      self._frozen = _freeze(self._session, graph, fit.values())
    except (ValueError, EncodeError, tf.errors.OpError):
      # A graph that the conversion does not know: it runs as it is.
      return super()._make_calls()
    try:
      calls = {name: make_call(self._frozen, one) for name, one in fit.items()}
    except BaseException:
      self._frozen.close()
      raise
    others = {
      name: make_call(self._session, one)
      for name, one in self.signatures.items()
      if name not in fit
    }
    if not others:
      # Nothing reads the variables any more: their memory is given back.
      self._session.close()
    return calls | others


def only_reads_weights(graph: graph_pb2.GraphDef, signature: meta_graph_pb2.SignatureDef) -> bool:
  """Returns whether a signature depends on no state but the values of variables.

  Args:
    graph: of the export, with its functions.
    signature: one of its signatures.
  """
  kept = _pruned(graph, _nodes([signature]))
  functions = {one.signature.name: one for one in kept.library.function}
  nodes = itertools.chain(kept.node, *(one.node_def for one in functions.values()))
  return all(_only_reads(node, functions) for node in nodes)


def _only_reads(node: node_def_pb2.NodeDef, functions: Mapping[str, object]) -> bool:
  if node.op in _READING or node.op in functions:
    return True
  found = op_def_registry.get(node.op)
  return found is not None and not any(
    one.is_ref or one.type == types_pb2.DT_RESOURCE for one in (*found.input_arg, *found.output_arg)
  )


def _pruned(graph: graph_pb2.GraphDef, names: Sequence[str]) -> graph_pb2.GraphDef:
  """Returns what some nodes are computed from, with the functions that are called there alone."""
  functions = {one.signature.name: one for one in graph.library.function}
  top = graph_pb2.GraphDef(node=graph.node, versions=graph.versions)
  kept = tf.compat.v1.graph_util.extract_sub_graph(top, names)
  waiting = [kept.node]
  seen: set[str] = set()
  while waiting:
    for node in waiting.pop():
      for name in _called(node, functions):
        if name not in seen:
          seen.add(name)
          waiting.append(functions[name].node_def)
  kept.library.function.extend(functions[name] for name in sorted(seen))
  return kept


def _called(node: node_def_pb2.NodeDef, functions: Mapping[str, object]) -> Iterator[str]:
  """Yields the names of the functions that a node calls."""
  if node.op in functions:
    yield node.op
  for value in node.attr.values():
    for one in (value.func, *value.list.func):
      if one.name in functions:
        yield one.name


def _freeze(
  session: tf.compat.v1.Session,
  graph: graph_pb2.GraphDef,
  kept: Iterable[meta_graph_pb2.SignatureDef],
) -> tf.compat.v1.Session:
  names = _nodes(kept)
  with session.graph.as_default():
    frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
      session, _pruned(graph, names), names
    )
  config = config_pb2.ConfigProto()
  # A second round, which is the default, takes as long and was not faster afterwards.
  config.graph_options.rewrite_options.meta_optimizer_iterations = (
    rewriter_config_pb2.RewriterConfig.ONE
  )
  made = tf.compat.v1.Session(graph=tf.Graph(), config=config)
  with made.graph.as_default():
    _import(frozen)
  return made


def _import(graph: graph_pb2.GraphDef) -> None:
  """Adds a graph to the default one piece by piece.

  Python's lock is held while TensorFlow copies a piece, and infers its shapes: a request
  would wait for all of it.
  """
  for function in graph.library.function:
    alone = graph_pb2.GraphDef(versions=graph.versions)
    alone.library.function.append(function)
    tf.graph_util.import_graph_def(alone, name='')
  functions = {one.signature.name: one for one in graph.library.function}
  for nodes in _pieces(graph, functions):
    piece = graph_pb2.GraphDef(node=nodes, versions=graph.versions)
    tf.graph_util.import_graph_def(piece, input_map=_from_outside(nodes), name='')


def _pieces(
  graph: graph_pb2.GraphDef, functions: Mapping[str, object]
) -> Iterator[list[node_def_pb2.NodeDef]]:
  """Yields the nodes, each behind those that it hangs on: weights by size, calls alone."""
  waiting = {node.name: {_source(one) for one in node.input} for node in graph.node}
  nodes = {node.name: node for node in graph.node}
  try:
    ordered = [nodes[name] for name in graphlib.TopologicalSorter(waiting).static_order()]
  except (graphlib.CycleError, KeyError):
    # Loops of TensorFlow 1.
    yield list(graph.node)
    return
  piece: list[node_def_pb2.NodeDef] = []
  size = 0
  for node in ordered:
    piece.append(node)
    size += node.ByteSize()
    if size > _PIECE_BYTES or any(_called(node, functions)):
      yield piece
      piece, size = [], 0
  yield piece


def _from_outside(nodes: Sequence[node_def_pb2.NodeDef]) -> dict[str, tf.Tensor | tf.Operation]:
  """Returns what nodes take from the default graph, by the names that they use for it."""
  inside = {node.name for node in nodes}
  find = tf.compat.v1.get_default_graph().get_operation_by_name
  found: dict[str, tf.Tensor | tf.Operation] = {}
  for name in {one for node in nodes for one in node.input if _source(one) not in inside}:
    operation = find(_source(name))
    if name.startswith('^'):
      found[name] = operation
    else:
      index = int(name.partition(':')[2] or 0)
      found[f'{_source(name)}:{index}'] = operation.outputs[index]
  return found


def _source(name: str) -> str:
  return name.removeprefix('^').partition(':')[0]


def _nodes(kept: Iterable[meta_graph_pb2.SignatureDef]) -> list[str]:
  """Returns the nodes of inputs and outputs: an input that no output needs is fed all the same."""
  infos = [info for one in kept for info in (*one.inputs.values(), *one.outputs.values())]
  return sorted({info.name.partition(':')[0] for info in infos})


def _bytes_of_variables(export: pathlib.Path) -> int:
  return sum(path.stat().st_size for path in (export / 'variables').glob('*') if path.is_file())
