'use strict';
// 10,000 frames deep, in the main thread and in as many workers as the first argument says. Each line on standard
// input is answered. Run it by --stack-size=3900.
const { Worker, isMainThread } = require('worker_threads');

function burn() {
  const until = Date.now() + 40;
  let sum = 0;
  while (Date.now() < until) sum += Math.sqrt(sum + 1);
  return sum;
}

function down(left) {
  return left === 0 ? burn() : down(left - 1) + 1;
}

function turn() {
  down(10000);
  setTimeout(turn, 1);
}

if (isMainThread) {
  const limits = { stackSizeMb: 8 };
  for (let i = 0; i < +process.argv[2]; i++) new Worker(__filename, { resourceLimits: limits });
  process.stdin.on('data', data => process.stdout.write(data));
  setTimeout(() => require('fs').writeSync(1, 'READY\n'), 300);
}
turn();
