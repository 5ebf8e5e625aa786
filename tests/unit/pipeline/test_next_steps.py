"""What is printed after a run can be pasted into a shell."""

import json
import shlex
import shutil
import subprocess

import pytest

from pipeline import next_steps
from tests.unit.serving import exports


def test_paths_with_spaces_and_brackets_stay_one_word():
  folder = "/my [photos]/it's/serving/tiny"
  assert shlex.split(next_steps.serve(folder))[-1] == folder
  assert f'{folder}:/models/tiny' in shlex.split(next_steps.serve_in_docker(folder, 'tiny'))
  assert shlex.split(next_steps.predict('tiny', f'{folder}/1 a.png'))[-1] == f'{folder}/1 a.png'


@pytest.mark.skipif(
  not (shutil.which('curl') and shutil.which('base64')), reason='needs curl and base64'
)
@pytest.mark.parametrize('seed, side', [(1, 20), (2, 400)])
def test_the_curl_line_asks_about_photos_of_every_size(tmp_path, seed, side):
  exports.write_image_model(tmp_path / 'serving/1', seed=1)
  image = tmp_path / "it's a [photo].png"
  image.write_bytes(exports.encoded(seed, 'PNG', side, side))
  assert side < 100 or image.stat().st_size > 200_000
  with exports.served(tmp_path / 'serving', 'tiny') as server:
    done = subprocess.run(
      ['bash', '-c', next_steps.curl('tiny', image, server.url)],
      capture_output=True,
      text=True,
      timeout=60,
    )
  assert done.returncode == 0, done.stderr
  (row,) = json.loads(done.stdout)['predictions']
  expected = exports.expected_probabilities(1, exports.picture(seed, side, side))
  assert row['probabilities'] == pytest.approx(expected.tolist(), abs=1e-5)
