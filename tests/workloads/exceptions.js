'use strict';
// try, catch and finally; what is thrown passes through several frames.
//@ chain top > guarded > risky > thrower > burn
//@ chain top > guarded > caught
//@ chain top > guarded > cleanup
//@ chain top > errors > failing > burn
//@ chain top > errors > caught
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

function caught(e) { //@ fn caught leaf
  var i, s = e.code | 0;
  for (i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in caught
  return s;
}

function cleanup(n) { //@ fn cleanup leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 41 + i) | 0; //@ in cleanup
  return s;
}

function thrower(n) { //@ fn thrower leaf
  throw { code: burn(n) }; //@ in thrower
}

function risky(n) { //@ fn risky leaf
  try {
    return thrower(n); //@ in risky
  } finally {
    sink ^= n;
  }
}

function guarded(n) { //@ fn guarded leaf
  var s = 0;
  try {
    s = risky(n); //@ in guarded
  } catch (e) {
    s = caught(e); //@ in guarded
  } finally {
    s += cleanup(n); //@ in guarded
  }
  return s;
}

function failing(n) { //@ fn failing leaf
  var e = new Error('no ' + burn(n)); //@ in failing
  e.code = n;
  throw e; //@ in failing
}

function errors(n) { //@ fn errors leaf
  try {
    return failing(n); //@ in errors
  } catch (e) {
    sink ^= e.stack.length; //@ in errors
    return caught(e); //@ in errors
  }
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= guarded(sink & 7); //@ in top
  sink ^= errors(sink & 7); //@ in top
}
