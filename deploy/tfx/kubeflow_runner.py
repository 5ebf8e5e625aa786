"""Compiles digits.yaml for Kubeflow Pipelines v2 and Vertex AI Pipelines.

  export PATH=<environment>/bin:$PATH
  tfx pipeline compile --engine=vertex --pipeline_path=deploy/tfx/kubeflow_runner.py

writes pipeline.yaml into the working directory. IMAGE has to hold Sightline and its lock,
PIPELINE_ROOT to be a bucket that the cluster can write, KEPT a folder that all pods mount;
a submission says where to publish. `sightline compile digits.yaml --output pipeline.yaml`,
with the same values behind --set, writes the same and checks it.
"""

import pathlib

from pipeline import compilation
from schemas import loader

CONFIG = pathlib.Path(__file__).resolve().parent / '../../pipeline/configs/digits.yaml'
IMAGE = compilation.default_image()
PIPELINE_ROOT = 'gs://<bucket>/digits'
KEPT = ('run.state=/gcs/<bucket>/state',)


def main() -> None:
  config = loader.load_config(CONFIG, KEPT)
  runner = compilation.kubeflow_runner('pipeline.yaml', IMAGE)
  runner.run(compilation.kubeflow_pipeline(config, PIPELINE_ROOT))


if __name__ == '__main__':
  main()
