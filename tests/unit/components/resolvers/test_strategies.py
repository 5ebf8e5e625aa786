"""Which model counts as the one in service, and whose predictions are read."""

from tfx.types import standard_artifacts

import components
from components.resolvers.strategies import FirstPredictionsStrategy, LatestServedModelStrategy


def artifact(kind, number: int, **properties: int):
  made = kind()
  made.id = number
  for name, value in properties.items():
    made.set_int_custom_property(name, value)
  return made


def resolve(models, evaluated, servable):
  return LatestServedModelStrategy().resolve_artifacts(
    None,
    {
      'model': [artifact(standard_artifacts.Model, number) for number in models],
      'model_blessing': [
        artifact(
          standard_artifacts.ModelBlessing, 100 + number, current_model_id=number, blessed=blessed
        )
        for number, blessed in evaluated
      ],
      'infra_blessing': [
        artifact(
          standard_artifacts.InfraBlessing, 200 + number, current_model_id=number, blessed=blessed
        )
        for number, blessed in servable
      ],
    },
  )


def test_the_newest_model_that_both_blessed():
  found = resolve(
    [1, 2, 3, 4],
    evaluated=[(1, 1), (2, 1), (3, 1), (4, 0)],
    servable=[(1, 1), (2, 1), (3, 0), (4, 1)],
  )
  assert [model.id for model in found['model']] == [2]
  assert [blessing.id for blessing in found['model_blessing']] == [102]
  assert [blessing.id for blessing in found['infra_blessing']] == [202]


def test_a_model_that_never_passed_the_serving_gates_is_no_baseline():
  assert resolve([1], evaluated=[(1, 1)], servable=[(1, 0)])['model'] == []
  assert resolve([1], evaluated=[(1, 1)], servable=[])['model'] == []


def test_no_model_at_all():
  assert resolve([], [], []) == {'model': [], 'model_blessing': [], 'infra_blessing': []}


def test_the_first_predictions_of_this_model():
  model = artifact(standard_artifacts.Model, 7)
  found = FirstPredictionsStrategy().resolve_artifacts(
    None,
    {
      'model': [model],
      'predictions': [
        artifact(components.Predictions, 30, current_model_id=7),
        artifact(components.Predictions, 20, current_model_id=7),
        artifact(components.Predictions, 10, current_model_id=6),
      ],
    },
  )
  assert [row.id for row in found['predictions']] == [20]
  assert found['model'] == [model]
