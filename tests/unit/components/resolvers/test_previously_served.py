"""Which version a candidate's time and size are compared with."""

import pytest
from tfx.types import standard_artifacts

from components.resolvers.strategies import PreviouslyServedStrategy


def artifact(kind, number, **properties):
  made = kind()
  made.id = number
  for name, value in properties.items():
    made.set_int_custom_property(name, value)
  return made


@pytest.fixture
def resolve(tmp_path):
  """Resolves over models that exist; blessings are given oldest first."""

  def call(candidate, models, evaluated, servable, gone=()):
    made = {}
    for number in models:
      made[number] = artifact(standard_artifacts.Model, number)
      made[number].uri = str(tmp_path / str(number))
      if number not in gone:
        folder = tmp_path / str(number) / 'Format-Serving'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'saved_model.pb').touch()

    def blessings(kind, first, rows):
      return [
        artifact(kind, first + order, current_model_id=number, blessed=blessed)
        for order, (number, blessed) in enumerate(rows)
      ]

    found = PreviouslyServedStrategy().resolve_artifacts(
      None,
      {
        'candidate': [made[candidate]],
        'model': list(made.values()),
        'model_blessing': blessings(standard_artifacts.ModelBlessing, 100, evaluated),
        'infra_blessing': blessings(standard_artifacts.InfraBlessing, 200, servable),
      },
    )
    assert [one.id for one in found['candidate']] == [candidate]
    return [[one.id for one in found[key]] for key in ('model', 'infra_blessing')]

  return call


def test_the_first_version_has_none_and_still_none_when_it_runs_again(resolve):
  assert resolve(1, [1], [], []) == [[], []]
  assert resolve(1, [1], [(1, 1)], [(1, 1)]) == [[], []]


def test_a_second_version_is_compared_with_the_first_each_time_that_it_runs(resolve):
  assert resolve(2, [1, 2], [(1, 1)], [(1, 1)]) == [[1], [200]]
  assert resolve(2, [1, 2], [(1, 1), (2, 1)], [(1, 1), (2, 1)]) == [[1], [200]]


def test_going_back_to_an_older_version_is_compared_with_the_newer_one(resolve):
  assert resolve(1, [1, 2], [(1, 1), (2, 1)], [(1, 1), (2, 1)]) == [[2], [201]]


def test_what_either_gate_refused_never_served(resolve):
  assert resolve(3, [1, 2, 3], [(1, 1), (2, 0)], [(1, 1), (2, 1)]) == [[1], [200]]
  assert resolve(3, [1, 2, 3], [(1, 1), (2, 1)], [(1, 1), (2, 0)]) == [[1], [200]]


def test_of_a_version_whose_files_are_gone_the_record_is_left(resolve):
  both = [(1, 1), (2, 1)]
  assert resolve(3, [1, 2, 3], both, both, gone=[2]) == [[], [201]]
