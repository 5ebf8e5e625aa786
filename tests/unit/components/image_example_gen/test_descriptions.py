import numpy as np
import pytest

from components.image_example_gen.descriptions import Descriptions
from components.image_example_gen.perceptual import Description


def made_up(number: int) -> Description:
  draw = np.random.default_rng(number)
  return Description(
    draw.bytes(32).hex(), draw.bytes(32), number % 101, number, draw.bytes(4096), draw.bytes(3072)
  )


def test_what_is_stored_comes_back(tmp_path):
  with Descriptions(tmp_path / 'store') as store:
    assert [store.append(made_up(number)) for number in range(5)] == [0, 1, 2, 3, 4]
    assert store.thumbnail(1).tobytes() == made_up(1).thumbnail
    assert store.signature(4).tobytes() == made_up(4).signature
    # Reading in between does not move where the next one goes.
    assert store.append(made_up(5)) == 5
    assert len(store) == 6
    assert [row.tobytes().hex() for row in store.column('pixel_id')] == [
      made_up(number).pixel_id for number in range(6)
    ]
    assert [row.tobytes() for row in store.column('hash')] == [
      made_up(number).hashes for number in range(6)
    ]
    assert store.column('quality').tolist() == [0, 1, 2, 3, 4, 5]
    assert store.column('side').tolist() == [0, 1, 2, 3, 4, 5]
    got = store.signatures(np.array([3, 0]))
    assert got.shape == (2, 64, 64)
    assert got[0].tobytes() == made_up(3).signature


def test_a_position_that_is_not_there(tmp_path):
  with Descriptions(tmp_path) as store:
    store.append(made_up(0))
    with pytest.raises(IndexError, match='1'):
      store.signature(1)


def test_empty(tmp_path):
  with Descriptions(tmp_path) as store:
    assert len(store) == 0
    assert store.column('hash').shape == (0, 32)


def test_a_former_store_is_replaced(tmp_path):
  with Descriptions(tmp_path) as store:
    store.append(made_up(0))
  with Descriptions(tmp_path) as store:
    assert len(store) == 0
    store.append(made_up(7))
    assert store.thumbnail(0).tobytes() == made_up(7).thumbnail
