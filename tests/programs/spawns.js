'use strict';
// Starts one child after the other for ever, and tells how long each took that computes the same, in milliseconds:
// `CHILD 8.25`. A worker is busy with it, so that there are samples to take.
const { Worker, isMainThread } = require('worker_threads');
const { spawn } = require('child_process');
const { performance } = require('perf_hooks');
const say = text => require('fs').writeSync(1, text + '\n');

function burn() {
  const until = Date.now() + 1;
  while (Date.now() < until);
}

function next() {
  const begin = performance.now();
  spawn('sh', ['-c', 'i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done']).on('close', () => {
    say(`CHILD ${(performance.now() - begin).toFixed(3)}`);
    burn();
    setImmediate(next);
  });
}

if (!isMainThread) {
  setInterval(burn, 10);
} else {
  new Worker(__filename);
  setTimeout(() => say('READY'), 300);
  next();
}
