#!/bin/sh
# Asks a served model about one image, with curl.
#
#   sh examples/clients/ask.sh http://127.0.0.1:8501 digits image.png
#
# Prints the label, its probability and the version that answered.
set -eu
url=$1 model=$2 image=$3

headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

# By standard input: a command line is too short for a photo.
answer=$(
  {
    printf '{"instances": [{"b64": "'
    base64 < "$image" | tr -d '\n'
    printf '"}]}'
  } | curl --silent --show-error --fail-with-body --max-time 30 --dump-header "$headers" \
    --header 'content-type: application/json' --data-binary @- \
    "$url/v1/models/$model:predict"
) || { echo "$answer" >&2; exit 1; }

# Good enough for a label without quotes; with jq: .predictions[0].label
value() { printf '%s' "$answer" | sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
version=$(tr -d '\r' < "$headers" | sed -n 's/^x-model-version: //p')
echo "$(value label) $(value probability) version $version"
