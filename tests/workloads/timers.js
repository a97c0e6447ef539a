'use strict';
// Callbacks of the event loop: each is the root of its own chain.
//@ node 0.10..
//@ chain onTimeout > burn
//@ chain onInterval > burn
//@ chain onImmediate > burn
//@ chain onNextTick > burn
//@ chain onEvent > burn
//@ chain onEvent > emitted > burn
//@ chain onRead > burn
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0;
var fs = require('fs'), events = require('events'), emitter = new events.EventEmitter();

function burn(n) { //@ fn burn leaf
  var i, s = n;
  for (i = 0; i < 150000; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

function onTimeout() { //@ fn onTimeout leaf
  sink ^= burn(1); //@ in onTimeout
  if (Date.now() < end) setTimeout(onTimeout, 5);
}

function onInterval() { //@ fn onInterval
  sink ^= burn(2); //@ in onInterval
  if (Date.now() >= end) process.exit(0);
}

function onImmediate() { //@ fn onImmediate leaf
  sink ^= burn(3); //@ in onImmediate
  process.nextTick(onNextTick); //@ in onImmediate
}

function onNextTick() { //@ fn onNextTick leaf
  sink ^= burn(4); //@ in onNextTick
  setTimeout(onEvent, 1);
}

function onEvent() { //@ fn onEvent leaf
  sink ^= burn(5); //@ in onEvent
  emitter.emit('more', 6); //@ in onEvent
  fs.stat(__filename, onRead);
}

function emitted(n) { //@ fn emitted
  sink ^= burn(n); //@ in emitted
}
emitter.on('more', emitted);

function onRead() { //@ fn onRead
  sink ^= burn(7); //@ in onRead
  if (Date.now() < end) setImmediate(onImmediate);
}

fs.writeSync(1, 'READY\n');
// So seldom that they starve nobody, as timers that are always due do before Node 11.
setInterval(onInterval, 10);
setTimeout(onTimeout, 1);
setImmediate(onImmediate);
