"""Names of ImageExampleGen's artifacts, parameters and artifact properties."""

# Outputs.
EXAMPLES = 'examples'
QUARANTINE = 'quarantine'
DATASET = 'dataset'

# Parameters.
CONFIG = 'config'
STATE_DIR = 'state_dir'
CODE_FINGERPRINT = 'code_fingerprint'
DATA_FINGERPRINT = 'data_fingerprint'
SPAN = 'span'
DATA_ROOT = 'data_root'

# Custom properties of `dataset`, and keys of dataset.json.
DATASET_SHA256 = 'dataset_sha256'
MANIFEST_SHA256 = 'manifest_sha256'
