'use strict';
// One function with loops on lines of their own: its time is told apart by the executing line alone.
//@ chain top > phases > last
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function last(x) { //@ fn last leaf
  for (var i = 0; i < size; i++) x = (x * 31 + i) | 0; //@ in last
  return x;
}

function phases(x) { //@ fn phases leaf
  var i, s = x;
  for (i = 0; i < 4 * size; i++) s = (s * 33 + i) | 0; //@ in phases
  s ^= 1;
  for (i = 0; i < 2 * size; i++) s = (s ^ (s >>> 5)) + 3 | 0; //@ in phases
  s ^= 2;
  for (i = 0; i < size; i++) s = (s * 35 ^ i) | 0; //@ in phases
  s ^= 3;
  return last(s) + 1; //@ in phases
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= phases(sink & 7); //@ in top
}
