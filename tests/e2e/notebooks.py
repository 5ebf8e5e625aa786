"""Executes the project's notebooks, with this very interpreter as their kernel."""

import base64
import io
import os
import pathlib
import sys

import nbformat
import numpy as np
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parents[2] / 'notebooks'


class _ThisInterpreter(KernelSpecManager):
  """Knows one kernel; the installed ones may start another Python."""

  def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
    return KernelSpec(
      argv=[sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}'],
      display_name=kernel_name,
      language='python',
    )


def read(name: str) -> nbformat.NotebookNode:
  return nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)


def execute(notebook, folder: pathlib.Path, **environment: object) -> None:
  """Executes all cells in place; the first that fails raises CellExecutionError.

  Args:
    notebook: its outputs are replaced.
    folder: the kernel's working directory.
    environment: variables beside those of this process.
  """
  manager = AsyncKernelManager(kernel_spec_manager=_ThisInterpreter(), kernel_name='python3')
  client = NotebookClient(
    notebook, km=manager, timeout=400, resources={'metadata': {'path': str(folder)}}
  )
  client.execute(env={**os.environ, **{key: str(value) for key, value in environment.items()}})


def printed(cells) -> str:
  """Returns what cells printed, and the values that they show as text."""
  return '\n'.join(
    output.get('text') or output.get('data', {}).get('text/plain', '')
    for output in _outputs(cells)
    if output.get('name') != 'stderr'
  )


def pictures(cells) -> list[np.ndarray]:
  """Returns the drawn pictures, decoded."""
  found = [output.get('data', {}).get('image/png') for output in _outputs(cells)]
  return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found if text]


def _outputs(cells):
  return [output for cell in cells for output in cell.get('outputs', [])]
