"""Planted faults and shifts: each is found, and named for what it is."""

import contextlib
import io

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from pipeline.diagnosis import answers, conclusion, funnel, given_images, suspects
from pipeline.diagnosis.step import (
  ACCURACY,
  ANSWERS,
  CONFIDENCE,
  GAP,
  LABELS,
  LOGGED,
  OK,
  PROPERTIES,
  REPLAY,
)
from tests.unit.pipeline.diagnosis import conftest
from tests.unit.serving import exports

SEEDS = range(80)


@pytest.fixture(autouse=True)
def _few_images_for_suspects(monkeypatch):
  # As many tell the same, and each costs every suspect a run of the network.
  monkeypatch.setattr(suspects, 'MOST_IMAGES', 12)


@pytest.fixture
def diagnose(run, production, faulty, servables):
  """Returns diagnose(rows, fault): steps by name, and conclusion; `data` compares these too."""

  def diagnose(rows, url=None, data=False, served=None, **fault):
    given = given_images.read(*production(rows))
    images = list(given.encoded())
    exported = answers.of_export(servables[0], images)
    with contextlib.ExitStack() as stack:
      if url is None:
        url = stack.enter_context(faulty(served or servables[0], **fault))
      steps = funnel.serving(run, given, servables[0], images, exported, url)
    if data:
      steps += funnel.data(run, given, exported)
    return {step.name: step for step in steps}, conclusion.conclude(steps)

  return diagnose


def _swapped(image):
  pixels = np.asarray(Image.open(io.BytesIO(image)).convert('RGB'))
  return conftest.png(np.ascontiguousarray(pixels[:, :, ::-1]))


def test_images_of_the_same_kind_have_no_gap(diagnose, say):
  steps, found = diagnose([(seed, 1.0, say(seed)) for seed in SEEDS], data=True)
  assert {name: step.outcome for name, step in steps.items()} == dict.fromkeys(
    (REPLAY, ANSWERS, ACCURACY, CONFIDENCE, LABELS, PROPERTIES), OK
  )
  assert found.kind == conclusion.NO_GAP
  assert steps[REPLAY].figures['images'] == 60
  assert steps[ACCURACY].figures['given']['value'] == 1.0


def test_swapped_channels_are_a_serving_bug_and_are_named(diagnose, say):
  steps, found = diagnose([(seed, 1.0, say(seed)) for seed in SEEDS], change=_swapped)
  assert steps[REPLAY].outcome == steps[ANSWERS].outcome == GAP
  assert steps[REPLAY].figures['largest_difference'] > 1e-3
  assert found.kind == conclusion.SERVING_BUG
  assert 'red and blue are swapped' in found.sentence


def test_a_vocabulary_in_another_order_is_a_serving_bug(diagnose, say):
  steps, found = diagnose([(seed, 1.0, say(seed)) for seed in SEEDS], order=(2, 0, 1))
  assert steps[REPLAY].figures['largest_difference'] <= steps[REPLAY].figures['limit']
  assert steps[REPLAY].figures['changed_labels'] == 60
  assert found.kind == conclusion.SERVING_BUG
  assert 'classes stand in another order' in found.sentence


@pytest.mark.parametrize('version', [conftest.OLDER, ''])
def test_an_older_version_is_a_serving_bug_whether_or_not_the_server_says_so(
  diagnose, servables, say, version
):
  rows = [(seed, 1.0, say(seed)) for seed in SEEDS]
  _, found = diagnose(rows, served=servables[1], version=version)
  assert found.kind == conclusion.SERVING_BUG
  assert f'version {conftest.OLDER} answers' in found.sentence


def test_darkened_images_are_a_covariate_shift(diagnose, say):
  steps, found = diagnose([(seed, 0.3, say(seed)) for seed in SEEDS], data=True)
  assert steps[ANSWERS].outcome == OK
  changed = {change['feature'] for change in steps[PROPERTIES].figures['changes']}
  assert 'image/brightness' in changed
  assert changed.isdisjoint({'image/width', 'image/height', 'image/aspect', 'image/format'})
  assert found.kind == conclusion.DATA_SHIFT
  assert 'covariate shift' in found.sentence
  assert 'brightness' in found.sentence
  assert 'label shift' not in found.sentence
  right = sum(say(seed, 0.3) == say(seed) for seed in SEEDS)
  table = [[right, 80 - right], [60, 0]]
  assert steps[ACCURACY].figures['p'] == pytest.approx(scipy.stats.fisher_exact(table)[1])


def test_one_class_alone_is_a_label_shift(diagnose, say):
  shown = [seed for seed in range(400) if say(seed) == say(0)][:80]
  steps, found = diagnose([(seed, 1.0, say(seed)) for seed in shown], data=True)
  assert steps[LABELS].outcome == GAP
  assert found.kind == conclusion.DATA_SHIFT
  assert 'label shift' in found.sentence


def test_wrong_labels_on_images_that_look_alike_are_told_apart_from_a_shift(diagnose, say):
  labels = [say(seed) for seed in SEEDS]
  # As many of one class as of the other are exchanged: the shares are kept.
  green = [seed for seed in SEEDS if labels[seed] == 'green']
  red = [seed for seed in SEEDS if labels[seed] == 'red'][: len(green)]
  for first, second in zip(green, red, strict=True):
    labels[first], labels[second] = 'red', 'green'
  steps, found = diagnose([(seed, 1.0, labels[seed]) for seed in SEEDS], data=True)
  right = 80 - 2 * len(green)
  assert steps[ACCURACY].figures['given']['value'] == right / 80
  assert found.kind == conclusion.CONCEPT


def test_an_unknown_label_counts_as_wrong_and_is_counted(diagnose, say):
  rows = [(seed, 1.0, 'newt' if seed < 4 else say(seed)) for seed in SEEDS]
  steps, _ = diagnose(rows, data=True)
  assert steps[ACCURACY].figures['unknown_labels'] == {'newt': 4}
  assert steps[ACCURACY].figures['given']['value'] == 76 / 80
  assert steps[ACCURACY].figures['expected_by_labels'] is None


def test_a_client_that_is_not_at_hand_is_found_by_what_was_logged(diagnose, run, say):
  swapped = [conftest.pixels(seed)[:, :, ::-1] for seed in SEEDS]
  answers_to = conftest.probabilities(swapped, exports.network(conftest.NETWORK))
  logged = [exports.LABELS[index] for index in answers_to.argmax(axis=1)]
  steps, found = diagnose([(seed, 1.0, say(seed), logged[seed]) for seed in SEEDS])
  assert steps[ANSWERS].outcome == OK
  changed = sum(logged[seed] != say(seed) for seed in SEEDS)
  assert steps[LOGGED].figures['changed_labels'] == changed > 0
  assert found.kind == conclusion.SERVING_BUG
  assert 'red and blue are swapped' in found.sentence


def test_what_was_logged_as_answered_is_no_gap(diagnose, say):
  steps, found = diagnose([(seed, 1.0, say(seed), say(seed)) for seed in SEEDS])
  assert steps[LOGGED].outcome == OK
  assert found.kind == conclusion.NO_GAP
