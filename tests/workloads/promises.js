'use strict';
// Async functions, async arrows and promise callbacks: each resumption is the root of a chain.
//@ node 8..
//@ chain main > step > burn
//@ chain step > burn
//@ chain main > viaArrow > burn
//@ chain viaArrow > burn
//@ chain main > chained > executor > burn
//@ chain fulfilled > burn
//@ chain rejected > burn
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

async function step(n) { //@ fn step
  let s = burn(n); //@ in step
  await null;
  s += burn(n + 1); //@ in step
  return s;
}

const viaArrow = async n => { //@ fn viaArrow
  let s = burn(n); //@ in viaArrow
  await null;
  return s + burn(n); //@ in viaArrow
};

function executor(resolve) { //@ fn executor
  resolve(burn(1)); //@ in executor
}

function fulfilled(n) { //@ fn fulfilled
  throw burn(n); //@ in fulfilled
}

function rejected(n) { //@ fn rejected
  return burn(n); //@ in rejected
}

function chained() { //@ fn chained
  return new Promise(executor).then(fulfilled).catch(rejected); //@ in chained
}

async function main() { //@ fn main
  while (Date.now() < end) {
    if (++turn < 1000) size = turn & 63;
    else if (turn === 1000) ready();
    sink ^= await step(1); //@ in main
    sink ^= await viaArrow(2); //@ in main
    sink ^= await chained(); //@ in main
  }
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

setImmediate(main);
