"""Serves an export in a process of its own and measures it.

  python -m components.serving_validator.probe REQUEST ANSWER

REQUEST is a JSON file with `export`, `records` (TFRecord files of raw examples),
`calls` and `images`. Into the folder ANSWER go answer.json and answers.npz. The
process holds what a server holds and little more: no TFX, no Keras, one batch of
images.
"""

import dataclasses
import itertools
import json
import math
import pathlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from models import image_file, proof
from schemas import features, signatures
from schemas.errors import ExportError, ServingError
from serving.servable import Servable

ANSWER, ANSWERS = 'answer.json', 'answers.npz'
# Images in one call where speed is not measured, and different ones where it is.
_BATCH = 8
_TIMED_IMAGES = 32
_RECORD_INPUTS = frozenset([signatures.EXAMPLES])
_IMAGE_INPUTS = frozenset([signatures.IMAGE_BYTES])


def main(request_file: str, answer_folder: str) -> None:
  """Does what the module's head says."""
  request = json.loads(pathlib.Path(request_file).read_text(encoding='utf-8'))
  started = time.perf_counter()
  servable = Servable(request['export'])
  answer: dict = {'load_ms': _since(started)}
  first = list(itertools.islice(_records(request['records']), _TIMED_IMAGES))
  if not first:
    raise ServingError(
      f'{", ".join(request["records"]) or "the test split"}: expected at least one record. '
      'Received: none.'
    )
  answer.update(_time(servable, [_image(record) for record in first], request['calls']))
  answer['problems'] = _try_signatures(servable, first[:_BATCH])
  ids, by_bytes, by_records, labels = _answer_images(
    servable, itertools.islice(_records(request['records']), request['images'])
  )
  answer['rss_mb'] = peak_memory_mb()
  # Behind the measurements: it is more than a server does.
  answer['proof'] = replay(servable)
  folder = pathlib.Path(answer_folder)
  np.savez(folder / ANSWERS, ids=ids, by_bytes=by_bytes, by_records=by_records, labels=labels)
  (folder / ANSWER).write_text(json.dumps(answer), encoding='utf-8')


def peak_memory_mb() -> float:
  """Returns the peak resident memory of this process, in 10^6 bytes.

  Not by getrusage where /proc is there: its ru_maxrss begins with that of the
  process which started this one, and a run that has trained is a large one.
  """
  try:
    status = pathlib.Path('/proc/self/status').read_text(encoding='ascii')
    kibibytes = next(
      int(line.split()[1]) for line in status.splitlines() if line.startswith('VmHWM:')
    )
    return kibibytes * 1024 / 1e6
  except (OSError, StopIteration):
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _since(started: float) -> float:
  return (time.perf_counter() - started) * 1e3


def _records(files: Sequence[str]) -> Iterator[bytes]:
  for path in files:
    compression = 'GZIP' if path.endswith('.gz') else ''
    yield from tf.data.TFRecordDataset(path, compression).as_numpy_iterator()


def _feature(record: bytes, key: str) -> bytes:
  values = tf.train.Example.FromString(record).features.feature[key].bytes_list.value
  if len(values) != 1:
    raise ServingError(f'test record: expected one value of {key}. Received: {len(values)}.')
  return values[0]


def _image(record: bytes) -> bytes:
  return _feature(record, features.IMAGE)


def _strings(values: Sequence[bytes]) -> np.ndarray:
  return np.array(values, object)


def _time(servable: Servable, images: Sequence[bytes], calls: int) -> dict:
  """Times the first call and `calls` later ones, each with one image."""
  times = []
  for image in itertools.islice(itertools.cycle(images), calls + 1):
    started = time.perf_counter()
    servable.run(signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: _strings([image])})
    times.append(_since(started))
  return {'cold_ms': times[0], 'warm_ms': times[1:]}


def _try_signatures(servable: Servable, records: Sequence[bytes]) -> list[str]:
  """Runs every signature of the export; returns what went wrong, a text each."""
  problems = [
    f'{name}: not in the export.' for name in signatures.ALL if name not in servable.signatures
  ]
  images = _strings([_image(record) for record in records])
  for name, signature in servable.signatures.items():
    wanted = frozenset(signature.inputs)
    if wanted not in (_IMAGE_INPUTS, _RECORD_INPUTS):
      problems.append(f'{name}: no test input for {", ".join(sorted(wanted))}.')
      continue
    try:
      outputs = servable.run(
        name, {signatures.IMAGE_BYTES: images, signatures.EXAMPLES: _strings(records)}
      )
    except tf.errors.OpError as error:
      problems.append(f'{name}: {error.message}')
      continue
    problems.extend(_judge(name, outputs, len(records)))
  return problems


def _judge(name: str, outputs: dict[str, np.ndarray], rows: int) -> list[str]:
  if name not in (signatures.SERVING_DEFAULT, signatures.SERVING_EXAMPLES):
    return []
  missing = [key for key in signatures.OUTPUTS if key not in outputs]
  if missing:
    return [f'{name}: no output {", ".join(missing)}.']
  probabilities = outputs[signatures.PROBABILITIES]
  if probabilities.ndim != 2 or len(probabilities) != rows:
    return [f'{name}: probabilities of shape {probabilities.shape} for {rows} images.']
  # The sum of K float32 numbers of about 1/K is good to about K ulp.
  if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):
    return [f'{name}: probabilities sum to {probabilities.sum(axis=1).tolist()}.']
  return []


def _answer_images(
  servable: Servable,
  records: Iterator[bytes],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Returns ids [N], probabilities [N, K] by image bytes and by records, and labels [N, 2]."""
  ids: list[str] = []
  by_bytes, by_records = [], []
  while batch := list(itertools.islice(records, _BATCH)):
    ids.extend(_feature(record, features.IMAGE_ID).decode() for record in batch)
    by_bytes.append(
      servable.run(
        signatures.SERVING_DEFAULT,
        {signatures.IMAGE_BYTES: _strings([_image(record) for record in batch])},
      )
    )
    by_records.append(
      servable.run(signatures.SERVING_EXAMPLES, {signatures.EXAMPLES: _strings(batch)})
      if signatures.SERVING_EXAMPLES in servable.signatures
      else by_bytes[-1]
    )

  def stack(outputs):
    return np.concatenate([output[signatures.PROBABILITIES] for output in outputs])

  labels = [_labels(outputs) for outputs in (by_bytes, by_records)]
  return np.array(ids), stack(by_bytes), stack(by_records), np.stack(labels, axis=1)


def replay(servable: Servable) -> dict:
  """Asks about the images that the export carries, as they are and as the door makes them.

  What a client of TensorFlow Serving sends comes as it is; the embedded server prepares
  each first, which gives an answer about some that the graph alone refuses.

  Returns:
    `judged`, models.proof.Judged as dicts by a limit of none, and `limit` of the proof; or
    `problem`, a text.
  """
  try:
    carried = proof.read(servable.path)
  except ExportError as error:
    return {'problem': str(error)}
  if carried.weights_sha256 != servable.weights_sha256:
    return {
      'problem': f'the proof is of weights {carried.weights_sha256[:12]}, the export holds '
      f'{servable.weights_sha256[:12]}.'
    }
  judged = []
  for golden in carried.goldens:
    judged.append(proof.judge(golden, _asked(servable, golden.image.encoded), math.inf))
    try:
      prepared = image_file.prepare(golden.image.encoded).encoded
    except image_file.ImageFileError:
      continue
    if prepared != golden.image.encoded:
      judged.append(proof.judge(golden, _asked(servable, prepared), math.inf))
  return {'judged': [dataclasses.asdict(one) for one in judged], 'limit': carried.limit}


def _asked(servable: Servable, image: bytes) -> np.ndarray | str:
  try:
    outputs = servable.run(signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: _strings([image])})
  except tf.errors.InvalidArgumentError as error:
    return error.message
  return outputs[signatures.PROBABILITIES][0]


def _labels(outputs: Sequence[dict[str, np.ndarray]]) -> np.ndarray:
  """Returns the names that were answered, string [N]; empty ones where there are none."""
  return np.array(
    [
      name.decode() if isinstance(name, bytes) else str(name)
      for output in outputs
      for name in output.get(
        signatures.PREDICTED_LABEL, [''] * len(output[signatures.PROBABILITIES])
      )
    ]
  )


if __name__ == '__main__':
  main(*sys.argv[1:])
