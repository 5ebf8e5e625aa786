import gc
import weakref

from serving import memory
from serving.servable import Servable
from tests.unit.serving import exports


def test_a_closed_version_is_freed_with_its_graph(tmp_path):
  gc.disable()
  try:
    servable = Servable(exports.write_affine_model(tmp_path / '1'))
    graph = weakref.ref(servable._session.graph)
    servable.close()
    del servable
    assert graph() is not None  # Else there were nothing to do.
    memory.give_back()
    assert graph() is None
  finally:
    gc.enable()


def test_what_is_there_at_the_start_is_not_looked_at_again():
  try:
    memory.settle()
    assert gc.get_freeze_count() > 1000
  finally:
    gc.unfreeze()
