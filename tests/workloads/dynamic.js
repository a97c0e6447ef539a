'use strict';
// Code that is compiled at run time: eval, direct and indirect, and new Function.
//@ chain top > round > evaluated > burn
//@ chain top > round > indirect > helper
//@ chain top > round > made > burn
//@ chain top > round > evalCode > burn
//@ fn evaluated leaf at=[eval]:1
//@ fn indirect at=[eval]:2
//@ fn helper leaf at=[eval]:3
//@ fn made leaf name=(anonymous) at=[eval]:1
//@ fn evalCode name=(anonymous) at=[eval]:1
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

var evaluated = eval('(function evaluated(n) { var i, s = n; for (i = 0; i < size; i++) s = (s * 37 + i) | 0; ' +
  'return s ^ burn(n); })');
var indirect = (0, eval)('\n(function indirect(n, size) { return helper(n, size) + 1;\n' +
  'function helper(n, size) { var i, s = n; for (i = 0; i < size; i++) s = (s * 41 + i) | 0; return s; } })');
var made = new Function('burn', 'n', 'size',
  'var i, s = n; for (i = 0; i < size; i++) s = (s * 43 + i) | 0; return s ^ burn(n);');

function round(n) { //@ fn round
  var s = evaluated(n); //@ in round
  s += indirect(n, size); //@ in round
  s += made(burn, n, size); //@ in round
  return s + eval('burn(n) + 1'); //@ in round
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= round(sink & 7); //@ in top
}
