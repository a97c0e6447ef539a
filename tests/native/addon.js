// Calls an addon for ever: `addon.js ADDON MODE...`. It exports one function, `run(mode, ms)`.
'use strict';
const run = require(process.argv[2]);
const modes = process.argv.slice(3);
function turn(mode) {
  run(mode, 10);
}
function turns() {
  for (;;) modes.forEach(turn);
}
console.log('READY');
setImmediate(turns);
