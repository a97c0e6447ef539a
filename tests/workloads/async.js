'use strict';
// Promise callbacks that came later, async generators, thenables: each resumption is the root of a chain.
//@ node 10..
//@ chain main > chained > burn
//@ chain settled > burn
//@ chain main > produce > burn
//@ chain then > burn
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

function settled() { //@ fn settled
  sink ^= burn(3); //@ in settled
}

function chained() { //@ fn chained
  return Promise.resolve(burn(1)).finally(settled); //@ in chained
}

async function* produce(n) { //@ fn produce
  for (let i = 0; i < 3; i++) {
    yield burn(n + i); //@ in produce
  }
}

const thenable = {
  then(resolve) { //@ fn then
    resolve(burn(4)); //@ in then
  },
};

async function main() { //@ fn main
  while (Date.now() < end) {
    if (++turn < 1000) size = turn & 63;
    else if (turn === 1000) ready();
    sink ^= await chained(); //@ in main
    for await (const n of produce(3)) sink ^= n; //@ in main
    sink ^= await thenable; //@ in main
  }
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

setImmediate(main);
