'use strict';
// Calls that pass through Proxy, Reflect, iteration, coercion and collection built-ins.
//@ node 8..
//@ chain top > round > trap > burn
//@ chain top > round > applyTrap > target > burn
//@ chain top > round > reflected > burn
//@ chain top > round > constructed > burn
//@ chain top > round > mapper > burn
//@ chain top > round > visit > burn
//@ chain top > round > coerced > burn
//@ chain top > round > stringified > burn
//@ chain top > round > tag > burn
//@ chain top > round > spread > burn
//@ chain top > round > iterate > burn
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

function trap(object, key) { //@ fn trap
  return burn(key.length); //@ in trap
}

function applyTrap(callee, self, args) { //@ fn applyTrap
  return Reflect.apply(callee, self, args) + 1; //@ in applyTrap
}

function target(n) { //@ fn target
  return burn(n) ^ 1; //@ in target
}

function reflected(n) { //@ fn reflected
  return burn(n) ^ 2; //@ in reflected
}

function constructed(n) { //@ fn constructed
  this.n = burn(n); //@ in constructed
}

function mapper(n) { //@ fn mapper
  return burn(n) ^ 3; //@ in mapper
}

function visit(value, key) { //@ fn visit
  sink ^= burn(key); //@ in visit
}

function coerced() { //@ fn coerced
  return burn(5); //@ in coerced
}

function stringified() { //@ fn stringified
  return burn(6) & 1 ? 'a' : 'b'; //@ in stringified
}

function tag(strings, n) { //@ fn tag
  return burn(n); //@ in tag
}

function spread(...all) { //@ fn spread
  return burn(all.length); //@ in spread
}

function* iterate(n) { //@ fn iterate
  yield burn(n); //@ in iterate
  yield burn(n + 1); //@ in iterate
}

const viaGet = new Proxy({}, { get: trap });
const viaApply = new Proxy(target, { apply: applyTrap });
const map = new Map([[1, 2], [3, 4]]);
const number = { valueOf: coerced }, string = { toString: stringified };

function round(n) { //@ fn round
  let s = viaGet.property; //@ in round
  s += viaApply(n); //@ in round
  s += Reflect.apply(reflected, null, [n]); //@ in round
  s += Reflect.construct(constructed, [n]).n; //@ in round
  s += Array.from([1, 2], mapper).length; //@ in round
  map.forEach(visit); //@ in round
  s += +number; //@ in round
  s += `${string}`.length; //@ in round
  s += tag`a${n}b`; //@ in round
  s += spread(...[1, 2, n]); //@ in round
  s += [...iterate(n)].length; //@ in round
  return s | 0;
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink = (sink + round(sink & 7)) | 0; //@ in top
}
