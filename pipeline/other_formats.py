"""Writes the model of a run in another format, and proves that it answers alike.

Nothing is left behind where it does not: all is written into a hidden folder beside the
wanted one, which takes its name at the end.
"""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.evaluator import comparison, images
from models import records
from models.formats import description, int8, openvino_file, parity, table
from models.formats.export_graph import Decoder, ExportGraph
from pipeline.diagnosis.subject import Subject
from schemas import features, signatures
from schemas.config import FormatsConfig
from schemas.errors import ExportError
from schemas.weights_hash import read_identity
from serving import openvino_servable
from serving.servable import Servable

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Wanted:
  """What is to be written.

  Attributes:
    format: a row of models.formats.table.
    quantized: OpenVINO's 8-bit variant.
    folder: where to; must not be there yet.
    replace: the folder is the version's own, and an earlier one gives way.
  """

  format: str
  quantized: bool
  folder: pathlib.Path
  replace: bool = False


@dataclasses.dataclass(frozen=True)
class Exported:
  """What was written.

  Attributes:
    folder: with the model and sightline.json.
    size: of the model, in bytes.
    parity: with the export, on test.
    loss: paired comparison of the 8-bit variant with the export, on test; else None.
  """

  folder: pathlib.Path
  size: int
  parity: parity.Parity
  loss: comparison.Comparison | None


def write(subject: Subject, wanted: Wanted, limits: FormatsConfig) -> Exported:
  """Converts, proves and writes.

  Args:
    subject: the run.
    wanted: format and folder.
    limits: of differences and of the loss of 8 bits.

  Raises:
    ExportError: a package is missing, the network cannot be converted, it answers otherwise
      than the export, it loses more than is accepted, or the folder is taken.
  """
  row = table.find(wanted.format)
  if wanted.folder.exists() and not wanted.replace:
    raise ExportError(
      f'{wanted.folder}: expected a folder that is not there yet. Received: one that is. Remove '
      'it, or name another one: --output DIR'
    )
  graph = ExportGraph(subject.published)
  network = graph.network()
  with _hidden(wanted) as folder:
    if wanted.quantized:
      with contextlib.closing(graph.decoder(signatures.SERVING_EXAMPLES)) as decoder:
        pixels = _pixels(decoder, subject.train_records, limits.calibration_images)
      openvino_file.save(int8.quantize(openvino_file.convert(network), pixels), folder)
    else:
      row.write(network, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    found, loss, measured = _prove(subject, wanted, limits, graph, row.load(folder))
    description.write(
      folder,
      description.Description(
        wanted.format,
        row.file,
        description.INT8 if wanted.quantized else description.FLOAT32,
        subject.version,
        found,
        description.versions((*row.packages, *((int8.PACKAGE,) if wanted.quantized else ()))),
        measured,
      ),
      network,
      read_identity(subject.published),
    )
  return Exported(wanted.folder, size, found, loss)


def _prove(
  subject: Subject,
  wanted: Wanted,
  limits: FormatsConfig,
  graph: ExportGraph,
  run: table.Runner,
) -> tuple[parity.Parity, comparison.Comparison | None, dict[str, Any]]:
  """Asks both about test; returns how alike they are and what else is to be kept."""
  with (
    contextlib.closing(Servable(subject.published)) as servable,
    contextlib.closing(graph.decoder(signatures.SERVING_EXAMPLES)) as decoder,
  ):
    expected, received, asked = _ask(subject.test_records, servable, decoder, run)
    found = parity.compare(expected, received)
    if not wanted.quantized:
      parity.check(found, limits.max_difference, f'format {wanted.format}')
      return found, None, {}
    loss = paired_loss(subject, expected, received, asked, limits.max_int8_loss)
    with contextlib.closing(graph.decoder(signatures.SERVING_DEFAULT)) as decode:
      said = run(decode(openvino_servable.pictures()))[signatures.PROBABILITIES].tolist()
  measured = {'paired_loss': dataclasses.asdict(loss), openvino_servable.GATE_ANSWERS: said}
  return found, loss, measured


def paired_loss(
  subject: Subject,
  expected: Mapping[str, np.ndarray],
  received: Mapping[str, np.ndarray],
  asked: Sequence[tuple[str, str]],
  accepted: float,
) -> comparison.Comparison:
  """Compares the 8-bit variant with the export, image by image.

  Args:
    subject: whose labels and clusters count.
    expected: outputs of the export for N images.
    received: of the variant.
    asked: id and label of each image.
    accepted: loss of accuracy, 0 to 1.

  Raises:
    ExportError: the variant is worse by more than is accepted, or by less and not by chance
      with an interval that reaches beyond it.
  """
  position = {label: index for index, label in enumerate(subject.labels)}
  truth = np.array([position.get(label, -1) for _, label in asked])
  clusters = images.read(
    str(subject.manifest.parent), [image_id for image_id, _ in asked], ()
  ).clusters
  found = comparison.compare(
    received[signatures.CLASS_ID] == truth,
    expected[signatures.CLASS_ID] == truth,
    clusters,
    accepted,
  )
  if found.verdict in ('worse', 'undecided'):
    raise ExportError(
      f'--int8: expected to lose at most {accepted:g} of accuracy on test '
      f'(formats.max_int8_loss). Received: {found.verdict}, {found.in_words()}. Nothing was '
      'written; export without --int8, or calibrate on more images: formats.calibration_images'
    )
  return found


def _ask(
  patterns: Sequence[str], servable: Servable, decoder: Decoder, run: table.Runner
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[tuple[str, str]]]:
  """Returns what both answer about every record, and each record's id and label."""
  expected, received, asked = [], [], []
  for batch in _batches(patterns):
    expected.append(servable.run(signatures.SERVING_EXAMPLES, {signatures.EXAMPLES: batch}))
    received.append(run(decoder(batch)))
    asked += [_identify(record) for record in batch]
  return _joined(expected), _joined(received), asked


def _batches(patterns: Sequence[str]) -> Iterator[np.ndarray]:
  read = records.read_records(records.record_files(patterns)).as_numpy_iterator()
  while batch := list(itertools.islice(read, _BATCH)):
    yield np.array(batch, object)


def _joined(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
  if not answers:
    raise ExportError('parity: expected images of test. Received: none.')
  return {name: np.concatenate([one[name] for one in answers]) for name in answers[0]}


def _identify(record: bytes) -> tuple[str, str]:
  feature = tf.train.Example.FromString(record).features.feature
  return (
    feature[features.IMAGE_ID].bytes_list.value[0].decode(),
    feature[features.LABEL].bytes_list.value[0].decode(),
  )


def _pixels(decoder: Decoder, patterns: Sequence[str], most: int) -> np.ndarray:
  """Returns at most so many images of train, spread evenly over its files."""
  files = records.record_files(patterns)
  total = records.count(files).count
  chosen = set(np.unique(np.linspace(0, total - 1, min(most, total)).astype(int)).tolist())
  found = [
    decoder(np.array([record], object))
    for place, record in enumerate(records.read_records(files).as_numpy_iterator())
    if place in chosen
  ]
  return np.concatenate(found) if found else np.zeros((0, 0, 0, 3), np.float32)


@contextlib.contextmanager
def _hidden(wanted: Wanted) -> Iterator[pathlib.Path]:
  """Lends a folder that takes its name when all went well, and otherwise goes."""
  folder = wanted.folder
  draft = folder.with_name(f'.{folder.name}.{os.getpid()}')
  old = folder.with_name(f'.{folder.name}.old.{os.getpid()}')
  try:
    draft.mkdir(parents=True)
    yield draft
    if wanted.replace and folder.exists():
      os.replace(folder, old)
    os.rename(draft, folder)
  except OSError as error:
    raise ExportError(f'{folder}: expected a folder to write. Received: {error}.') from error
  finally:
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
