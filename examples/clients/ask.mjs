// Asks a served model about images, from JavaScript: Node 18 or later, no packages.
//
//   node examples/clients/ask.mjs http://127.0.0.1:8501 digits image.png ...
//
// Prints for each the label, its probability and the version that answered.
import { readFile } from 'node:fs/promises';

const [url, model, ...paths] = process.argv.slice(2);

async function ask(images) {
  const response = await fetch(`${url}/v1/models/${encodeURIComponent(model)}:predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ instances: images.map((image) => ({ b64: image.toString('base64') })) }),
    signal: AbortSignal.timeout(30_000),
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const { predictions } = await response.json();
  return { predictions, version: response.headers.get('x-model-version') };
}

try {
  const { predictions, version } = await ask(await Promise.all(paths.map((path) => readFile(path))));
  for (const { label, probability } of predictions) {
    console.log(label, probability, 'version', version);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
