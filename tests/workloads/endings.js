'use strict';
// Line ends of every kind: CR LF, a lone CR,// LINE SEPARATOR, // PARAGRAPH SEPARATOR // and a lone LF. (V8 before 4.0 knew only LF.)
//@ node 4..; chain top > outer > inner
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function inner(n) { //@ fn inner leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in inner
  return s;
}

function outer(n) { //@ fn outer
  return inner(n) + //@ in outer
    inner(n + 1); //@ in outer
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= outer(1); //@ in top
}
