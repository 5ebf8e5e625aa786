"""Runs digits.yaml with TFX's own local runner and its command line.

  export PATH=<environment>/bin:$PATH
  tfx pipeline create --engine=local --pipeline_path=deploy/tfx/local_runner.py
  tfx run create --engine=local --pipeline_name=digits
  tfx pipeline update --engine=local --pipeline_path=deploy/tfx/local_runner.py

Call all of them from one folder. tfx runs a bare `pip freeze`, so that the
environment's bin comes first on PATH; without --engine=local it would pick
Kubeflow, whose library is installed.

Name, root and metadata store are those of `sightline run digits.yaml`: each
finds in the cache what the other has computed.
"""

import pathlib

from pipeline import create_pipeline, datasets, local_dag_runner
from schemas import loader

CONFIG = pathlib.Path(__file__).resolve().parent / '../../pipeline/configs/digits.yaml'


def main() -> None:
  config = loader.load_config(CONFIG)
  if config.data.bundled:
    datasets.write(config.data.bundled, config.data.root)
  local_dag_runner.LocalDagRunner(config).run(create_pipeline.create_pipeline(config))


if __name__ == '__main__':
  main()
