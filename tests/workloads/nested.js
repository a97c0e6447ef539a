'use strict';
// Named functions: a flat chain of four, and functions declared inside functions.
//@ chain top > outer > middle > inner
//@ chain top > first > second > third > fourth
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function outer(n) { //@ fn outer
  function middle(m) { //@ fn middle
    function inner(k) { //@ fn inner leaf
      var i, s = k;
      for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in inner
      return s;
    }
    return inner(m) + //@ in middle
      inner(m + 1); //@ in middle
  }
  return middle(n) ^ middle(n + 2); //@ in outer
}

function fourth(k) { //@ fn fourth leaf
  var i, s = k;
  for (i = 0; i < size; i++) { //@ in fourth
    s = (s * 33 + i) | 0; //@ in fourth
  }
  return s;
}

function third(k) { //@ fn third leaf
  var i, s = fourth(k); //@ in third
  for (i = 0; i < size; i++) s = (s * 35 + i) | 0; //@ in third
  return s;
}

function second(k) { //@ fn second
  return third(k) + 1; //@ in second
}

function first(k) { //@ fn first
  return second(k) | 0; //@ in first
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= outer(1); //@ in top
  sink ^= first(2); //@ in top
}
