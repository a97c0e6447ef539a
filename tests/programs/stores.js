'use strict';
// Doubles are stored into a variable that lives long, so that each needs a write barrier, which stands behind the
// code of `store`. What is inlined before the store is on another line.
var sum = 0;

function inlined(n) {
  var i, s = 0;
  for (i = 0; i < 8; i++) s = (s + n * i) % 9973; // 8
  return s;
}

function store() {
  var i;
  for (i = 0; i < 20000; i++) {
    sum += inlined(i) + 0.5; // 15
  }
}

var end = Date.now() + 60000;
console.log('READY');
(function round() {
  store();
  if (Date.now() < end) setTimeout(round, 0);
})();
