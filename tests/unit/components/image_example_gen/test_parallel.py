import threading

import pytest

from components.image_example_gen import parallel


def test_order_is_kept_and_items_are_taken_as_results_are_fetched():
  taken = []

  def items():
    for number in range(1000):
      taken.append(number)
      yield number

  results = parallel.ordered_map(lambda number: number * number, items())
  assert [next(results) for _ in range(3)] == [0, 1, 4]
  assert len(taken) < 10 * parallel.cores() + 10
  assert list(results) == [number * number for number in range(3, 1000)]


@pytest.mark.skipif(parallel.cores() < 2, reason='needs two cores')
def test_two_items_are_worked_on_at_once():
  both = threading.Barrier(2, timeout=30)
  assert len(list(parallel.ordered_map(lambda _: both.wait(), range(2)))) == 2


def test_an_error_comes_out():
  with pytest.raises(ZeroDivisionError):
    list(parallel.ordered_map(lambda number: 1 // number, [1, 0]))
