"""Which model counts as the one in service, and whose predictions are read."""

import pytest
from tfx.types import standard_artifacts

import components
from components.resolvers.strategies import FirstPredictionsStrategy, LatestServedModelStrategy


def artifact(kind, number: int, **properties: int):
  made = kind()
  made.id = number
  for name, value in properties.items():
    made.set_int_custom_property(name, value)
  return made


@pytest.fixture
def resolve(tmp_path):
  """Resolves over models whose files exist; blessings are given oldest first."""

  def call(models, evaluated, servable, gone=()):
    artifacts = []
    for number in models:
      model = artifact(standard_artifacts.Model, number)
      model.uri = str(tmp_path / str(number))
      if number not in gone:
        folder = tmp_path / str(number) / 'Format-Serving'
        folder.mkdir(parents=True)
        (folder / 'saved_model.pb').touch()
      artifacts.append(model)

    def blessings(kind, first, rows):
      return [
        artifact(kind, first + order, current_model_id=number, blessed=blessed)
        for order, (number, blessed) in enumerate(rows)
      ]

    return LatestServedModelStrategy().resolve_artifacts(
      None,
      {
        'model': artifacts,
        'model_blessing': blessings(standard_artifacts.ModelBlessing, 100, evaluated),
        'infra_blessing': blessings(standard_artifacts.InfraBlessing, 200, servable),
      },
    )

  return call


def test_the_newest_model_that_both_blessed(resolve):
  found = resolve(
    [1, 2, 3, 4],
    evaluated=[(1, 1), (2, 1), (3, 1), (4, 0)],
    servable=[(1, 1), (2, 1), (3, 0), (4, 1)],
  )
  assert [model.id for model in found['model']] == [2]
  assert [blessing.id for blessing in found['model_blessing']] == [101]
  assert [blessing.id for blessing in found['infra_blessing']] == [201]


def test_an_older_model_that_was_blessed_again_is_the_one_in_service(resolve):
  found = resolve([1, 2], evaluated=[(1, 1), (2, 1), (1, 1)], servable=[(1, 1), (2, 1)])
  assert [model.id for model in found['model']] == [1]


def test_a_later_refusal_does_not_put_an_older_model_in_service(resolve):
  found = resolve([1, 2], evaluated=[(1, 1), (2, 1), (1, 0)], servable=[(1, 1), (2, 1)])
  assert [model.id for model in found['model']] == [2]


def test_a_model_that_never_passed_the_serving_gates_is_no_baseline(resolve):
  assert resolve([1], evaluated=[(1, 1)], servable=[(1, 0)])['model'] == []


def test_a_model_whose_files_are_gone_is_passed_over(resolve, caplog):
  found = resolve([1, 2], evaluated=[(1, 1), (2, 1)], servable=[(1, 1), (2, 1)], gone=[2])
  assert [model.id for model in found['model']] == [1]
  assert 'its files are gone' in caplog.text


def test_no_model_at_all(resolve):
  assert resolve([], [], []) == {'model': [], 'model_blessing': [], 'infra_blessing': []}


def predictions(number: int, model: int, code: str):
  made = artifact(components.Predictions, number, current_model_id=model)
  made.set_string_custom_property('code_fingerprint', code)
  return made


def test_predictions_of_other_code_are_not_taken():
  found = FirstPredictionsStrategy().resolve_artifacts(
    None,
    {
      'model': [artifact(standard_artifacts.Model, 7)],
      'predictions': [
        predictions(10, 7, 'old'),
        predictions(20, 7, 'new'),
        predictions(30, 7, 'new'),
      ],
    },
  )
  assert [row.id for row in found['predictions']] == [20]


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
