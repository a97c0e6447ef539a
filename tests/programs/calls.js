'use strict';
// Some 30 µs of work, then a system call, for ever: a request to stop that takes its time arrives in most of the
// calls, though little of the time is spent there. Says how much that was.

const fs = require('fs');
const nothing = fs.openSync('/dev/null', 'w');
const spent = { works: 0, calls: 0 };

function works() {
  let sum = 0;
  for (let i = 0; i < 20000; i++) sum = (sum * 31 + i) | 0;
  return sum;
}

function calls() {
  return fs.writeSync(nothing, 'x');
}

const now = () => Number(process.hrtime.bigint()) / 1e6;

console.log('READY');
for (let told = now(); ; ) {
  const start = now();
  works();
  const middle = now();
  calls();
  const end = now();
  spent.works += middle - start;
  spent.calls += end - middle;
  if (end - told > 100) {
    told = end;
    fs.writeSync(1, `SHARES works=${spent.works.toFixed(3)} calls=${spent.calls.toFixed(3)}\n`);
  }
}
