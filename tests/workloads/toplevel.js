'use strict'; //@ fn top leaf name=(anonymous)
// One hot loop at the module's top level: the only frame is the module's own function.
//@ chain top
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, i;

require('fs').writeSync(1, 'READY\n');
while (Date.now() < end) {
  for (i = 0; i < 100000; i++) { //@ in top
    sink = (sink * 31 + i) | 0; //@ in top
  }
}
