'use strict';
// Direct recursion 150 deep with the work at the bottom, and two functions that call each other.
//@ chain top > descend*150
//@ chain top > (even > odd)*20 > bottom
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function descend(n) { //@ fn descend leaf
  var i, s = n;
  if (n > 1) return (descend(n - 1) + n) | 0; //@ in descend
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in descend
  return s;
}

function bottom(n) { //@ fn bottom leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in bottom
  return s;
}

function even(n) { //@ fn even leaf
  return odd(n - 1) ^ n; //@ in even
}

function odd(n) { //@ fn odd leaf
  if (n === 0) return bottom(n); //@ in odd
  return even(n) + 1; //@ in odd
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= descend(150); //@ in top
  sink ^= even(20); //@ in top
}
