'use strict';
// A worker thread that burns all the time, and a main thread that does so now and then.
//@ node 12.22..
//@ chain top > work > spin
//@ chain top > work > helper > spin
//@ chain onInterval > light
const { Worker, isMainThread } = require('worker_threads');
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0, timer;

function spin(n) { //@ fn spin leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in spin
  return s;
}

function helper(n) { //@ fn helper
  return spin(n) + 1; //@ in helper
}

function work(n) { //@ fn work
  return spin(n) ^ helper(n); //@ in work
}

function light() { //@ fn light leaf
  let s = 1;
  for (let i = 0; i < 200000; i++) s = (s * 37 + i) | 0; //@ in light
  return s;
}

function onInterval() { //@ fn onInterval
  sink ^= light(); //@ in onInterval
  if (Date.now() >= end) clearInterval(timer);
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

if (isMainThread) {
  new Worker(__filename);
  timer = setInterval(onInterval, 5);
} else {
  while (Date.now() < end) {
    if (++turn < 1000) size = turn & 63;
    else if (turn === 1000) ready();
    sink ^= work(sink & 7); //@ in top
  }
}
