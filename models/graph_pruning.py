"""Parts of a GraphDef, with the functions that are called there and no others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2


def pruned(graph: graph_pb2.GraphDef, names: Sequence[str]) -> graph_pb2.GraphDef:
  """Returns what some nodes are computed from, with the functions that are called there alone."""
  top = graph_pb2.GraphDef(node=graph.node, versions=graph.versions)
  kept = tf.compat.v1.graph_util.extract_sub_graph(top, names)
  kept.library.function.extend(functions_of(kept.node, graph.library))
  return kept


def functions_of(
  nodes: Iterable[node_def_pb2.NodeDef], library: function_pb2.FunctionDefLibrary
) -> list[function_pb2.FunctionDef]:
  """Returns the functions that nodes call, and those that these call, by name."""
  functions = {one.signature.name: one for one in library.function}
  waiting = [nodes]
  seen: set[str] = set()
  while waiting:
    for node in waiting.pop():
      for name in called(node, functions):
        if name not in seen:
          seen.add(name)
          waiting.append(functions[name].node_def)
  return [functions[name] for name in sorted(seen)]


def called(node: node_def_pb2.NodeDef, functions: Mapping[str, object]) -> Iterator[str]:
  """Yields the names of the functions that a node calls."""
  if node.op in functions:
    yield node.op
  for value in node.attr.values():
    for one in (value.func, *value.list.func):
      if one.name in functions:
        yield one.name
