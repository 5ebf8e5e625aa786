"""The entry of every container: checks the image, then runs one component as TFX does.

  python -m pipeline.kubeflow.container --expect JSON <TFX's own arguments>

A compiled file holds this command. What it adds to TFX's entry: it refuses an image that
differs from what was compiled, it gives components folders instead of buckets, it
makes the folders that they write to, and it restores types that a backend left out.
"""

import argparse
import os
import pathlib
import runpy
import sys
from collections.abc import Sequence

from pipeline import doctor
from pipeline.kubeflow import expectation
from schemas.errors import SightlineError

COMMAND = ('python', '-m', 'pipeline.kubeflow.container')
EXPECT = '--expect'
OUTPUTS_SPEC = '--json_serialized_outputs_spec_args'
_TFX_ENTRY = 'tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor'
_INVOCATION = '--json_serialized_invocation_args'
# What beam_engine gives the steps that run there.
_DATAFLOW = '--runner=DataflowRunner'
_INPUTS_SPEC = '--json_serialized_inputs_spec_args'


def main(argv: Sequence[str], mounted: pathlib.Path | str = '/') -> None:
  """Runs one component.

  Args:
    argv: the arguments, without the program's name.
    mounted: where the folders of buckets lie.

  Raises:
    SightlineError: the image differs, or the component's own error.
    SystemExit: TFX's entry ended with a code other than 0.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '1')
  parser = argparse.ArgumentParser(prog=' '.join(COMMAND), allow_abbrev=False)
  parser.add_argument(EXPECT, required=True)
  parser.add_argument(_INVOCATION, required=True, dest='invocation')
  parser.add_argument(_INPUTS_SPEC, default='{}', dest='inputs_spec')
  parser.add_argument(OUTPUTS_SPEC, default='{}', dest='outputs_spec')
  args, others = parser.parse_known_args(argv)
  # Both before anything heavy is imported, and before any work.
  doctor.check_shadowing()
  expectation.check(expectation.Expectation.from_json(args.expect))

  from google.protobuf import json_format
  from kfp.pipeline_spec import pipeline_spec_pb2

  from pipeline.kubeflow import artifact_types, mounts

  given = pipeline_spec_pb2.ExecutorInput()
  json_format.Parse(args.invocation, given, ignore_unknown_fields=True)
  inputs = pipeline_spec_pb2.ComponentInputsSpec()
  json_format.Parse(args.inputs_spec, inputs, ignore_unknown_fields=True)
  outputs = pipeline_spec_pb2.ComponentOutputsSpec()
  json_format.Parse(args.outputs_spec, outputs, ignore_unknown_fields=True)
  artifact_types.restore(given.inputs.artifacts, inputs.artifacts)
  artifact_types.restore(given.outputs.artifacts, outputs.artifacts)
  # Dataflow's workers mount nothing: they read and write the bucket by its URI, as TFX does.
  by_uri = _DATAFLOW in others
  folders = mounts.Mounts(mounted)
  if not by_uri:
    mounts.to_paths(given, folders)
    _make_output_folders(given)
  _run_tfx([_INVOCATION, json_format.MessageToJson(given), _INPUTS_SPEC, args.inputs_spec, *others])
  if by_uri:
    return
  report = pathlib.Path(given.outputs.output_file)
  reported = pipeline_spec_pb2.ExecutorOutput()
  json_format.Parse(report.read_text(encoding='utf-8'), reported)
  mounts.to_uris(reported, folders)
  report.write_text(json_format.MessageToJson(reported), encoding='utf-8')


def _make_output_folders(given) -> None:
  """Makes each artifact's folder, as the launcher of a local run does; no backend has to."""
  for artifacts in given.outputs.artifacts.values():
    for artifact in artifacts.artifacts:
      os.makedirs(artifact.uri, exist_ok=True)


def _run_tfx(argv: list[str]) -> None:
  before = sys.argv
  sys.argv = [_TFX_ENTRY, *argv]
  try:
    runpy.run_module(_TFX_ENTRY, run_name='__main__', alter_sys=True)
  except SystemExit as done:
    # It always ends by one.
    if done.code:
      raise
  finally:
    sys.argv = before


if __name__ == '__main__':
  try:
    main(sys.argv[1:])
  except SightlineError as error:
    sys.exit(f'error: {error}')
