"""Executor of the Evaluator."""

import logging
import pathlib

import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma
from tfx.components.evaluator import constants
from tfx.components.evaluator import executor as evaluator_executor
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.utils import io_utils, json_utils, path_utils, proto_utils

from components.evaluator import floors, images, looks, predictions, sliced_metrics, verdict
from models.decision import Decision
from schemas import weights_hash

_log = logging.getLogger(__name__)


class Executor(evaluator_executor.Executor):
  """Has each model predict once, and everything else read what it said.

  TFX's own executor lets TFMA run the models, decode every image a second time, and judge
  by thresholds alone. Here TFMA measures and slices the stored predictions, and the verdict
  is verdict.judge's. Where candidate and baseline hold the same weights there is nothing to
  compare: the candidate is judged alone, and the verdict says so.

  It is TFX's Evaluator by class: Kubeflow's container entry asks for that before it writes
  the blessing's ids as Vertex AI's resolver reads them.
  """

  def Do(self, input_dict, output_dict, exec_properties) -> None:
    self._log_startup(input_dict, output_dict, exec_properties)
    candidate = _export(input_dict[standard_component_specs.MODEL_KEY])
    in_service = _in_service(input_dict, exec_properties)
    baseline = _export(in_service) if in_service else None
    same = baseline is not None and _is_same(candidate, baseline)
    if same:
      _log.info('candidate and baseline hold the same weights')
    state = exec_properties['state_dir']
    written = predictions.write(
      pathlib.Path(artifact_utils.get_single_uri(output_dict['predictions'])),
      _patterns(input_dict, exec_properties),
      candidate,
      None if same else baseline,
      looks.Record(pathlib.Path(state, 'looks') if state else None),
    )
    asked = verdict.Asked.read(exec_properties['asked'])
    ids = predictions.image_ids(written.path)
    known = images.read(artifact_utils.get_single_uri(input_dict['dataset']), ids, asked.slice_keys)
    evaluation = pathlib.Path(
      artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY])
    )
    config = tfma.EvalConfig()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], config)
    sliced_metrics.measure(
      pq.read_table(written.path),
      known.values,
      sliced_metrics.model_specs(config, baseline is not None and not same),
      evaluation,
      self._make_beam_pipeline,
    )
    simple = input_dict.get('floors')
    judged = verdict.judge(
      evaluation,
      written.path,
      predictions.labels(candidate),
      verdict.InService(
        artifact_utils.get_single_instance(in_service).id if in_service else None, same
      ),
      asked,
      known,
      floors.read(artifact_utils.get_single_uri(simple), ids) if simple else None,
      Decision.read(weights_hash.read_identity(candidate)),
    )
    judged.write(evaluation)
    _bless(input_dict, output_dict, in_service, judged.blessed, exec_properties)
    _record(input_dict, output_dict, candidate, written, exec_properties['code_fingerprint'])


def _patterns(input_dict, exec_properties) -> list[str]:
  (split,) = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
  uris = artifact_utils.get_split_uris(input_dict[standard_component_specs.EXAMPLES_KEY], split)
  return [io_utils.all_files_pattern(uri) for uri in uris]


def _bless(input_dict, output_dict, in_service, blessed: bool, exec_properties) -> None:
  """Writes the blessing as TFX's Evaluator does: its resolvers and Pusher read it."""
  blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
  model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
  blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
  # Kubeflow may hand over artifacts without a name, and then there is no id.
  if model.id:
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
  if in_service:
    baseline = artifact_utils.get_single_instance(in_service)
    blessing.set_string_custom_property(
      constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
    )
    if baseline.id:
      blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
      )
  if 'current_component_id' in exec_properties:
    blessing.set_string_custom_property('component_id', exec_properties['current_component_id'])
  name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
  io_utils.write_string_file(f'{blessing.uri}/{name}', '')
  blessing.set_int_custom_property(
    constants.ARTIFACT_PROPERTY_BLESSED_KEY,
    constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
  )


def _is_same(candidate: pathlib.Path, baseline: pathlib.Path) -> bool:
  """Whether both give the same answers: the same weights, names and decision."""
  of_candidate, of_baseline = map(weights_hash.read_identity, (candidate, baseline))
  return (
    weights_hash.weights_sha256(candidate) == weights_hash.weights_sha256(baseline)
    and of_candidate['labels'] == of_baseline['labels']
    and Decision.read(of_candidate) == Decision.read(of_baseline)
  )


def _in_service(input_dict, exec_properties):
  """Returns the baseline as an input, be it an artifact or a folder that was named."""
  artifacts = input_dict.get(standard_component_specs.BASELINE_MODEL_KEY)
  uri = exec_properties.get('baseline_uri')
  if artifacts or not uri:
    return artifacts
  model = standard_artifacts.Model()
  model.uri = uri
  return [model]


def _export(artifacts) -> pathlib.Path:
  artifact = artifact_utils.get_single_instance(artifacts)
  if pathlib.Path(artifact.uri, 'saved_model.pb').is_file():
    # A published version.
    return pathlib.Path(artifact.uri)
  return pathlib.Path(
    path_utils.serving_model_path(artifact.uri, path_utils.is_old_model_artifact(artifact))
  )


def _record(
  input_dict, output_dict, candidate: pathlib.Path, written, code_fingerprint: str
) -> None:
  """Notes on the predictions which model they speak of, and at which test set it looked."""
  model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
  predicted = artifact_utils.get_single_instance(output_dict['predictions'])
  predicted.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
  predicted.set_string_custom_property('code_fingerprint', code_fingerprint)
  predicted.set_string_custom_property('weights_sha256', weights_hash.weights_sha256(candidate))
  predicted.set_string_custom_property('test_sha256', written.images_sha256)
  predicted.set_int_custom_property('from_record', int(written.from_record))
