"""The embedded server with the weights in variables, as the export has them.

    python benchmarks/as_exported_server.py FOLDER PORT GRPC_PORT    # its model is `served`

So TensorFlow Serving runs it: `sightline serve` makes constants of them.
"""

import pathlib
import sys

from serving import model_config, server
from serving.servable import Servable


def main() -> None:
  folder, port, grpc_port = sys.argv[1:]
  settings = server.Settings(port=int(port), grpc_port=int(grpc_port), load=Servable)
  server.serve(model_config.single('served', pathlib.Path(folder)), settings)


if __name__ == '__main__':
  main()
