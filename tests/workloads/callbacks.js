'use strict';
// Functions that built-in functions call, and calls with too few, too many, bound and applied arguments.
//@ chain top > arrays > mapped > weigh
//@ chain top > arrays > visited > weigh
//@ chain top > arrays > kept
//@ chain top > arrays > summed
//@ chain top > arrays > some
//@ chain top > sorting > compare
//@ chain top > strings > replaced
//@ chain top > strings > revived > weigh
//@ chain top > strings > toJSON
//@ chain top > calls > few
//@ chain top > calls > many
//@ chain top > calls > applied > weigh
//@ chain top > calls > bound > weigh
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;
var numbers = [5, 3, 9, 1, 7, 2], json = '{"a":[1,2,3],"b":4}';

function weigh(n) { //@ fn weigh leaf
  var i, s = n | 0;
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in weigh
  return s;
}

function mapped(n) { //@ fn mapped
  return weigh(n) & 15; //@ in mapped
}

function visited(n) { //@ fn visited
  sink ^= weigh(n); //@ in visited
}

function kept(n) { //@ fn kept leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in kept
  return s & 1;
}

function summed(a, n) { //@ fn summed leaf
  var i, s = a + n;
  for (i = 0; i < size; i++) s = (s * 41 + i) | 0; //@ in summed
  return s;
}

function arrays() { //@ fn arrays
  var s = numbers.map(mapped).length; //@ in arrays
  numbers.forEach(visited); //@ in arrays
  s += numbers.filter(kept).length; //@ in arrays
  s += numbers.reduce(summed, 0); //@ in arrays
  numbers.some(function some(n) { //@ fn some leaf; in arrays
    var i, t = n;
    for (i = 0; i < size; i++) t = (t * 43 + i) | 0; //@ in some
    return t === 0.5;
  }); //@ in arrays
  return s;
}

function compare(a, b) { //@ fn compare leaf
  var i, s = a;
  for (i = 0; i < size; i++) s = (s * 47 + i) | 0; //@ in compare
  sink ^= s;
  return a - b;
}

function sorting() { //@ fn sorting
  return numbers.slice().sort(compare)[0]; //@ in sorting
}

function replaced(c) { //@ fn replaced leaf
  var i, s = c.length;
  for (i = 0; i < size; i++) s = (s * 53 + i) | 0; //@ in replaced
  return s & 1 ? 'x' : 'y';
}

function revived(key, value) { //@ fn revived
  sink ^= weigh(key.length); //@ in revived
  return value;
}

function toJSON() { //@ fn toJSON leaf
  var i, s = 1;
  for (i = 0; i < size; i++) s = (s * 59 + i) | 0; //@ in toJSON
  return s;
}
var jsonable = { toJSON: toJSON };

function strings() { //@ fn strings leaf
  var s = 'abc'.replace(/[a-z]/g, replaced).length; //@ in strings
  s += JSON.parse(json, revived).b | 0; //@ in strings
  return s + JSON.stringify(jsonable).length; //@ in strings
}

function few(a, b, c) { //@ fn few leaf
  var i, s = c === undefined ? a : b;
  for (i = 0; i < size; i++) s = (s * 61 + i) | 0; //@ in few
  return s;
}

function many(a) { //@ fn many leaf
  var i, s = a;
  for (i = 0; i < size; i++) s = (s * 67 + i) | 0; //@ in many
  return s;
}

function applied(a, b) { //@ fn applied
  return weigh(a) + weigh(b); //@ in applied
}

function bound(a, b) { //@ fn bound
  return weigh(a + b); //@ in bound
}
var boundToTwo = bound.bind(null, 2);

function calls(n) { //@ fn calls
  var s = few(n); //@ in calls
  s += many(n, 2, 3, 4); //@ in calls
  s += applied.apply(null, [n, 3]); //@ in calls
  s += applied.call(null, n, 4); //@ in calls
  return s + boundToTwo(n) + boundToTwo(n + 1); //@ in calls
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= arrays(); //@ in top
  sink ^= sorting(); //@ in top
  sink ^= strings(); //@ in top
  sink ^= calls(sink & 7); //@ in top
}
