'use strict';
// Burns processor time in six functions, in shares that it measures itself. After each round it writes the
// processor time spent in each so far (before Node 6.1, the time by the clock), in ms: `SHARES name=ms name=ms …`.
var fs = require('fs'), end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
var spent = {}, sink = 1, unit = 1;

function largest(n) { var i, s = n; for (i = 0; i < n; i++) s = (s * 31 + i) | 0; return s; }
function large(n) { var i, s = n; for (i = 0; i < n; i++) s = (s * 33 + i) | 0; return s; }
function middle(n) { var i, s = n; for (i = 0; i < n; i++) s = (s * 35 + i) | 0; return s; }
function small(n) { var i, s = n; for (i = 0; i < n; i++) s = (s * 37 + i) | 0; return s; }
function smaller(n) { var i, s = n; for (i = 0; i < n; i++) s = (s * 39 + i) | 0; return s; }
function least(n) { var i, s = n; for (i = 0; i < n; i++) s = (s * 41 + i) | 0; return s; }

var parts = [[largest, 40], [large, 25], [middle, 15], [small, 10], [smaller, 6], [least, 4]];

function now() {
  var time = process.cpuUsage ? process.cpuUsage() : process.hrtime();
  return process.cpuUsage ? (time.user + time.system) / 1e3 : time[0] * 1e3 + time[1] / 1e6;
}

function round() {
  parts.forEach(function (part) {
    var start = now(), name = part[0].name;
    sink ^= part[0](part[1] * unit);
    spent[name] = (spent[name] || 0) + now() - start;
  });
}

// The unit is chosen so that a round takes about 100 ms.
function total() { return Object.keys(spent).reduce(function (sum, name) { return sum + spent[name]; }, 0); }
for (unit = 1000; total() < 60; unit *= 2) {
  spent = {};
  round();
}
spent = {};
fs.writeSync(1, 'READY\n');
while (Date.now() < end) {
  round();
  fs.writeSync(1, 'SHARES ' + Object.keys(spent).map(function (name) {
    return name + '=' + spent[name].toFixed(3);
  }).join(' ') + '\n');
}
