"""The split of the traffic: by id, in the share that is asked for, independent of the log."""

import pytest

from serving.label_choice import choose_label
from serving.request_log import sampled

IDS = [f'{number:05}' for number in range(20_000)]


def test_the_share_goes_to_the_canary_and_always_the_same_ids():
  chosen = [choose_label(one, 0.1) for one in IDS]
  assert chosen == [choose_label(one, 0.1) for one in IDS]
  # 2000 expected, 42 is one standard deviation.
  assert 1790 < chosen.count('canary') < 2210
  assert chosen.count('canary') + chosen.count('stable') == len(IDS)


def test_a_larger_share_keeps_those_of_a_smaller_one():
  assert all(
    choose_label(one, 0.3) == 'canary' for one in IDS if choose_label(one, 0.1) == 'canary'
  )


@pytest.mark.parametrize(('share', 'label'), [(0.0, 'stable'), (1.0, 'canary')])
def test_none_and_all(share, label):
  assert {choose_label(one, share) for one in IDS[:100]} == {label}


def test_what_is_logged_says_nothing_about_who_answers():
  logged = [one for one in IDS if sampled(one, 0.1)]
  canary = sum(choose_label(one, 0.1) == 'canary' for one in logged)
  # One in ten of about 2000; drawn by one hash, it would be all of them.
  assert 130 < canary < 270
