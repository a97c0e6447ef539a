// Waits in three known ways, in turn: in JavaScript that blocks, for a child, and in the event loop.
'use strict';
const { execFileSync } = require('child_process');

const cell = new Int32Array(new SharedArrayBuffer(4));

function dozes() {
  Atomics.wait(cell, 0, 0, 300);
}

function waitsForChild() {
  execFileSync('sleep', ['0.3']);
}

function turn() {
  dozes();
  waitsForChild();
  setTimeout(turn, 300);
}

console.log('READY');
turn();
