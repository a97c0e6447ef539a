'use strict';
// Works for ever in as many workers as the first argument says, each at the bottom of as many JavaScript
// frames as the second one says. The main thread waits.

const { Worker, isMainThread, workerData } = require('node:worker_threads');

if (isMainThread) {
  const [count, frames] = process.argv.slice(2).map(Number);
  const gate = new Int32Array(new SharedArrayBuffer(8));
  for (let i = 0; i < count; i++) new Worker(__filename, { workerData: gate, argv: [frames], stdout: true });
  // None begins before all have started: the others would take the CPUs that they start on.
  const start = setInterval(() => {
    if (Atomics.load(gate, 0) < count) return;
    clearInterval(start);
    Atomics.store(gate, 1, 1);
    Atomics.notify(gate, 1);
    // Until all have compiled what they run.
    setTimeout(() => require('node:fs').writeSync(1, 'READY\n'), 200 + 20 * count);
  }, 10);
} else {
  Atomics.add(workerData, 0, 1);
  Atomics.wait(workerData, 1, 0);
  require('./deep.js');
}
