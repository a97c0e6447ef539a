'use strict';
// Calls and loops on many lines of one function: which of them runs is told by the executing line alone.
//@ chain top > spread > one
//@ chain top > spread > two
//@ chain top > spread > three
//@ chain top > branches > one
//@ chain top > branches > two
//@ chain top > branches > three
//@ chain top > loops
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function one(x) { //@ fn one leaf
  var i;
  // A comment between the lines of a function.
  for ( //@ in one
    i = 0;
    i < size; //@ in one
    i++ //@ in one
  ) {
    x = (x * 31 + //@ in one
      i) | 0; //@ in one
  }
  return x;
}

function two(x) { //@ fn two leaf
  var i = 0;

  do { //@ in two
    x ^= x << 1; //@ in two
    i++; //@ in two
  } while (i < size); //@ in two

  return x;
}

function three(x) { //@ fn three leaf
  var i = size;
  while (i--) { //@ in three
    if (i & 1) { //@ in three
      x = (x + i) | 0; //@ in three
    } else {
      x = (x - 1) | 0; //@ in three
    }
  }
  return x;
}

function spread(x) { //@ fn spread
  var y = one(x), //@ in spread>one
    z = two(y); //@ in spread>two
  return [
    y,
    three( //@ in spread>three
      z
    ),
    z
  ][1];
}

function branches(x) { //@ fn branches
  switch (x & 3) {
    case 0:
      return one(x); //@ in branches>one
    case 1:
      return x > 2
        ? two(x) //@ in branches>two
        : three(x); //@ in branches>three
    default:
      x = three(x); //@ in branches>three
      return two(x); //@ in branches>two
  }
}

function loops(x) { //@ fn loops leaf
  var i, j;
  for (i = 0; i < size; i++) { //@ in loops
    x = (x * 33 + i) | 0; //@ in loops
  }
  for (j = 0; j < size; j++) { //@ in loops
    x ^= (x >>> 5) + j; //@ in loops
  }
  return x;
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink = (sink + 1) | 0;
  sink ^= spread(sink); //@ in top>spread
  sink ^= branches(sink); //@ in top>branches
  sink ^= branches(sink + 1); //@ in top>branches
  sink ^= loops(sink); //@ in top>loops
}
