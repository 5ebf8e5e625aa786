"""Packages Sightline: `pip install .` gives the `sightline` command from any folder."""

import pathlib

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent
PACKAGES = ('schemas', 'models', 'serving', 'components', 'pipeline')


def direct_requirements() -> list[str]:
  lines = (ROOT / 'requirements/runtime.in').read_text(encoding='utf-8').splitlines()
  return [line for line in lines if line and not line.startswith('#')]


setuptools.setup(
    name='sightline',
    version='0.1.0',
    description='From a folder of labelled images to a served model, as a TFX pipeline.',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11,<3.12',
    packages=setuptools.find_packages(
        include=[pattern for name in PACKAGES for pattern in (name, f'{name}.*')]),
    package_data={
        'schemas': ['*/schema.pbtxt', 'requirements.lock'],
        'pipeline': ['configs/*.yaml', 'templates/*'],
    },
    install_requires=direct_requirements(),
    entry_points={'console_scripts': ['sightline=pipeline.__main__:main']},
)
