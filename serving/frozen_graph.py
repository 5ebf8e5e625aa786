"""The graph of a version with its weights as constants, in pieces that load without a jolt.

A session reads every variable anew for each request, and cannot compute ahead what depends
on weights alone. With constants in their place TensorFlow's optimiser can.
"""

import dataclasses
import graphlib
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf
from google.protobuf.message import EncodeError
from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.framework import convert_to_constants, op_def_registry
from tensorflow.python.saved_model import loader_impl

from models.graph_pruning import called, pruned
from serving import servable

# Of an export; a graph with its constants has to stay below 2 GiB.
_MOST_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20
_TAGS = [tf.saved_model.SERVING]
_VARIABLES = frozenset(['VarHandleOp', 'VariableV2', 'Variable'])
# What hands out or reads a variable and changes none.
_READING = _VARIABLES | {'ReadVariableOp', 'ResourceGather', 'ResourceGatherNd'}

Signatures = dict[str, meta_graph_pb2.SignatureDef]


@dataclasses.dataclass(frozen=True)
class Part:
  """A graph that answers some signatures.

  Attributes:
    calls: the signatures by name.
    pieces: GraphDefs, each of which hangs only on those before it.
    begin: operations to be run once, in this order, with what is fed: tensor to text.
    optimise: whether TensorFlow's optimiser gains anything.
  """

  calls: Signatures
  pieces: Sequence[graph_pb2.GraphDef]
  begin: Sequence[tuple[str, Mapping[str, str]]] = ()
  optimise: bool = False

  def open(self) -> tf.compat.v1.Session:
    """Returns a session with this graph.

    Python's lock is held while TensorFlow copies a piece, and infers its shapes: in one
    piece, a request of another version would wait for all of it.

    Raises:
      ValueError, tf.errors.OpError: the pieces do not fit together, or a file is missing.
    """
    config = _optimised() if self.optimise else servable.unoptimised()
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    try:
      with session.graph.as_default():
        for piece in self.pieces:
          tf.graph_util.import_graph_def(piece, input_map=_from_outside(piece.node), name='')
      for operation, fed in self.begin:
        session.run(session.graph.get_operation_by_name(operation), fed)
    except BaseException:
      session.close()
      raise
    return session


@dataclasses.dataclass(frozen=True)
class FrozenGraph:
  """A version, taken apart.

  Attributes:
    signatures: of the version by name, as its export declares them.
    parts: graphs that answer each of them: first those that need weights only, which are
      constants there; then the others, as they were exported.
  """

  signatures: Signatures
  parts: Sequence[Part]


def freeze(path: pathlib.Path) -> FrozenGraph:
  """Reads a version.

  Args:
    path: the folder with saved_model.pb.

  Raises:
    OSError, ValueError, RuntimeError, tf.errors.OpError: it cannot be loaded.
  """
  loader = loader_impl.SavedModelLoader(str(path))
  meta_graph = loader.get_meta_graph_def_from_tags(_TAGS)
  signatures = servable.signatures_of(meta_graph)
  with tf.compat.v1.Session(graph=tf.Graph(), config=servable.unoptimised()) as session:
    saver, _ = loader.load_graph(session.graph, _TAGS)
    graph = session.graph.as_graph_def()
    constant = _part_with_constants(session, graph, signatures, loader, saver)
    parts = [constant] if constant.calls else []
    rest = {name: one for name, one in signatures.items() if name not in constant.calls}
    if rest:
      parts.append(_part_with_state(graph, rest, meta_graph, loader, saver))
  return FrozenGraph(signatures, parts)


def _part_with_constants(
  session: tf.compat.v1.Session,
  graph: graph_pb2.GraphDef,
  signatures: Signatures,
  loader: loader_impl.SavedModelLoader,
  saver: tf.compat.v1.train.Saver | None,
) -> Part:
  """Returns what needs nothing but weights; without a call where that is nothing."""
  if size_of(pathlib.Path(loader.export_dir)) > _MOST_BYTES:
    return Part({}, [])
  fit = _fit_signatures(graph, signatures)
  if not fit:
    return Part({}, [])
  loader.restore_variables(session, saver)
  loader.run_init_ops(session, _TAGS)
  try:
    constants = _constants(session, graph, fit.values())
  except (ValueError, EncodeError, tf.errors.OpError):
    # A graph that the conversion does not know: it runs as it is.
    return Part({}, [])
  return Part(fit, _pieces(constants), optimise=True)


def _part_with_state(
  graph: graph_pb2.GraphDef,
  rest: Signatures,
  meta_graph: meta_graph_pb2.MetaGraphDef,
  loader: loader_impl.SavedModelLoader,
  saver: tf.compat.v1.train.Saver | None,
) -> Part:
  """Returns signatures as they were exported, with what gives their state its beginning.

  Called while the session's graph is the default one.
  """
  init = loader_impl.get_init_op(meta_graph)
  needed = [] if init is None else [getattr(init, 'op', init).name]
  kept = pruned(graph, _nodes(rest.values()) + needed)
  names = {node.name for node in kept.node}
  assets = loader_impl.get_asset_tensors(loader.export_dir, meta_graph)
  fed = {key: tf.compat.as_text(value) for key, value in assets.items() if _source(key) in names}
  begin = [(name, fed) for name in needed]
  if saver is not None:
    told = saver.saver_def
    restore = told.restore_op_name.partition(':')[0]
    if names & {node.name for node in pruned(graph, [restore]).node if _has_state(node)}:
      begin.insert(0, (restore, {told.filename_tensor_name: loader.variables_path}))
      kept = pruned(graph, [*names, restore])
  return Part(rest, _pieces(kept), begin)


def _optimised() -> config_pb2.ConfigProto:
  """Returns the settings of a session that optimises its graph for each signature."""
  config = config_pb2.ConfigProto()
  # A second round, which is the default, takes as long and was not faster afterwards.
  config.graph_options.rewrite_options.meta_optimizer_iterations = (
    rewriter_config_pb2.RewriterConfig.ONE
  )
  return config


def _fit_signatures(graph: graph_pb2.GraphDef, signatures: Signatures) -> Signatures:
  """Returns the signatures that depend on no state but variables that nobody changes.

  Args:
    graph: of the export, with its functions.
    signatures: all of them.
  """
  kept = {name: pruned(graph, _nodes([one])) for name, one in signatures.items()}
  fit = {name for name, one in kept.items() if _only_reads_weights(one)}
  # What one signature changes, the others have to see.
  changing = {node.name for one in kept.values() if _changes(one) for node in _variables(one)}
  return {
    name: signatures[name]
    for name in signatures
    if name in fit and not any(node.name in changing for node in _variables(kept[name]))
  }


def _variables(graph: graph_pb2.GraphDef) -> Iterator[node_def_pb2.NodeDef]:
  return (node for node in graph.node if node.op in _VARIABLES)


def _has_state(node: node_def_pb2.NodeDef) -> bool:
  found = op_def_registry.get(node.op)
  return found is not None and found.is_stateful


def _only_reads_weights(graph: graph_pb2.GraphDef) -> bool:
  functions = {one.signature.name: one for one in graph.library.function}
  return all(_only_reads(node, functions) for node in _all_nodes(graph))


def _changes(graph: graph_pb2.GraphDef) -> bool:
  """Returns whether anything may change a variable."""
  for node in _all_nodes(graph):
    found = op_def_registry.get(node.op)
    if found is None or node.op in _READING or node.op.startswith('LookupTable'):
      continue
    if any(one.is_ref or one.type == types_pb2.DT_RESOURCE for one in found.input_arg):
      return True
  return False


def _all_nodes(graph: graph_pb2.GraphDef) -> Iterator[node_def_pb2.NodeDef]:
  return itertools.chain(graph.node, *(one.node_def for one in graph.library.function))


def _only_reads(node: node_def_pb2.NodeDef, functions: Mapping[str, object]) -> bool:
  if node.op in _READING or node.op in functions:
    return True
  found = op_def_registry.get(node.op)
  return found is not None and not any(
    one.is_ref or one.type == types_pb2.DT_RESOURCE for one in (*found.input_arg, *found.output_arg)
  )


def _constants(
  session: tf.compat.v1.Session,
  graph: graph_pb2.GraphDef,
  kept: Iterable[meta_graph_pb2.SignatureDef],
) -> graph_pb2.GraphDef:
  names = _nodes(kept)
  with session.graph.as_default():
    return convert_to_constants.convert_variables_to_constants_from_session_graph(
      session, pruned(graph, names), names
    )


def _pieces(graph: graph_pb2.GraphDef) -> list[graph_pb2.GraphDef]:
  """Returns functions one by one, then nodes: weights by their size, calls alone."""
  try:
    return list(_cut(graph))
  except graphlib.CycleError:
    # Loops of TensorFlow 1.
    return [graph]


def _cut(graph: graph_pb2.GraphDef) -> Iterator[graph_pb2.GraphDef]:
  for function in graph.library.function:
    alone = graph_pb2.GraphDef(versions=graph.versions)
    alone.library.function.append(function)
    yield alone
  functions = {one.signature.name: one for one in graph.library.function}
  nodes = _in_order(graph)
  place = {node.name: number for number, node in enumerate(nodes)}
  held = [0] * len(nodes)
  for node in nodes:
    for name in node.input:
      if name.startswith('^'):
        # Nothing can wait for an operation of an earlier piece that has no output.
        held[place[_source(name)]] = max(held[place[_source(name)]], place[node.name])
  piece = graph_pb2.GraphDef(versions=graph.versions)
  size = until = 0
  for number, node in enumerate(nodes):
    piece.node.append(node)
    # "On the device of that node", which may lie in another piece; here all are on one.
    piece.node[-1].attr.pop('_class', None)
    size += node.ByteSize()
    until = max(until, held[number])
    if number >= until and (size > _PIECE_BYTES or any(called(node, functions))):
      yield piece
      piece, size = graph_pb2.GraphDef(versions=graph.versions), 0
  yield piece


def _in_order(graph: graph_pb2.GraphDef) -> list[node_def_pb2.NodeDef]:
  """Returns the nodes, each behind those that it hangs on; graphlib.CycleError for loops."""
  nodes = {node.name: node for node in graph.node}
  waiting = {node.name: {_source(one) for one in node.input} for node in graph.node}
  return [nodes[name] for name in graphlib.TopologicalSorter(waiting).static_order()]


def _from_outside(nodes: Sequence[node_def_pb2.NodeDef]) -> dict[str, tf.Tensor]:
  """Returns the tensors that nodes take from the default graph, by the names used for them."""
  inside = {node.name for node in nodes}
  find = tf.compat.v1.get_default_graph().get_operation_by_name
  found: dict[str, tf.Tensor] = {}
  for name in {one for node in nodes for one in node.input if _source(one) not in inside}:
    index = int(name.partition(':')[2] or 0)
    found[f'{_source(name)}:{index}'] = find(_source(name)).outputs[index]
  return found


def _source(name: str) -> str:
  return name.removeprefix('^').partition(':')[0]


def _nodes(kept: Iterable[meta_graph_pb2.SignatureDef]) -> list[str]:
  infos = [info for one in kept for info in (*one.inputs.values(), *one.outputs.values())]
  return sorted({info.name.partition(':')[0] for info in infos})


def size_of(export: pathlib.Path) -> int:
  """Returns the bytes of the graph and of the variables of an export, as far as they exist."""
  files = [export / 'saved_model.pb', *(export / 'variables').glob('*')]
  return sum(path.stat().st_size for path in files if path.is_file())
