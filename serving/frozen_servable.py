"""A version whose weights are constants of its graph: the same answers, sooner.

TensorFlow Serving has no such step: it answers the same, but for the rounding of float32.
"""

import pathlib
from collections.abc import Callable

import tensorflow as tf

from serving import freezing_process, frozen_graph
from serving.frozen_graph import FrozenGraph
from serving.servable import Servable, make_calls

_SMALL = 1 << 20


class FrozenServable(Servable):
  """A version whose weights are constants; the same face as Servable.

  A signature that needs more than weights, such as a vocabulary's table or a counter, runs as
  it was exported, and so does a whole version of more than 1 GiB.
  """

  def __init__(
    self,
    path: pathlib.Path | str,
    freeze: Callable[[pathlib.Path], FrozenGraph] = frozen_graph.freeze,
  ):
    """Loads the export; see Servable.

    Args:
      path: the folder with saved_model.pb.
      freeze: makes its graph.
    """
    self._freeze = freeze
    self._sessions: list[tf.compat.v1.Session] = []
    super().__init__(path)

  def close(self) -> None:
    """Frees the sessions; `run` fails from here on."""
    for session in self._sessions:
      session.close()
    super().close()

  def _open(self) -> None:
    graph = self._freeze(self.path)
    try:
      for part in graph.parts:
        self._sessions.append(part.open())
        self._calls |= make_calls(self._sessions[-1], part.calls)
      self.signatures = graph.signatures
    except (ValueError, tf.errors.OpError):
      # Its parts do not fit together: it runs as it was exported.
      self.close()
      self._sessions, self._calls = [], {}
      super()._open()


def load_aside(path: pathlib.Path) -> FrozenServable:
  """Loads a version with another process's help: for a server that answers meanwhile.

  Not for a version of less than 1 MiB, which is loaded before a process has started.

  Raises:
    ExportError, OSError: as Servable.
  """
  if frozen_graph.size_of(path) < _SMALL:
    return FrozenServable(path)
  return FrozenServable(path, freezing_process.freeze)
