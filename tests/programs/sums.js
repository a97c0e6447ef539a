'use strict';
// Computes one number from the one before, for ever, with two workers that do the same; tells every 10 ms how many steps
// it has made and where it is: `AT 2000 123456789`. SIGTERM: `END` and exit code 9.
const { Worker, isMainThread } = require('worker_threads');
const say = text => require('fs').writeSync(1, text + '\n');
let at = 1, steps = 0;

function next(from) {
  let at = from;
  for (let i = 0; i < 2000; i++) at = (Math.imul(at, 1103515245) + 12345) & 0x7fffffff;
  return at;
}

function turn() {
  const until = Date.now() + 10;
  at = next(at);
  steps += 2000;
  while (Date.now() < until) if (next(1) !== next(1)) throw new Error('2 is not 2');
  if (isMainThread) say(`AT ${steps} ${at}`);
  setImmediate(turn);
}

turn();
if (isMainThread) {
  for (let i = 0; i < 2; i++) new Worker(__filename);
  process.once('SIGTERM', () => { say('END'); process.exit(9); });
  setTimeout(() => say('READY'), 300);
}
