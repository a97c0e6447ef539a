'use strict';
// A two-byte source with names outside ASCII: считать, 計算, naïve.
//@ chain top > считать > 計算
//@ chain top > считать > naïve
//@ chain top > считать > $_ʹ
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0, мусор = '🔥';

function 計算(n) { //@ fn 計算 leaf
  var i, s = n + мусор.length;
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in 計算
  return s;
}

function naïve(n) { //@ fn naïve leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in naïve
  return s;
}

function $_ʹ(n) { //@ fn $_ʹ leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 41 + i) | 0; //@ in $_ʹ
  return s;
}

function считать(n) { //@ fn считать
  return 計算(n) ^ //@ in считать
    naïve(n) ^ //@ in считать
    $_ʹ(n); //@ in считать
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= считать(sink & 7); //@ in top
}
