'use strict';
// Much garbage: the collector moves functions, scripts, strings and code while the stack is read.
//@ chain top > churn > closures > made
//@ chain top > churn > objects
//@ chain top > churn > strings
//@ chain top > churn > compiled > generated
//@ chain top > churn > compiled > evalCode
//@ fn generated leaf at=[eval]:1
//@ fn evalCode leaf name=(anonymous) at=[eval]:1
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, kept = [], serial = 0;

function closures(n) { //@ fn closures leaf
  var i, s = 0, list = [];
  for (i = 0; i < 500; i++) { //@ in closures
    list.push(function made(k) { return (k * 31 + i + n) | 0; }); //@ fn made leaf; in closures; in made
  }
  for (i = 0; i < 500; i++) s ^= list[i](i); //@ in closures
  return s;
}

function objects(n) { //@ fn objects leaf
  var i, o = null;
  for (i = 0; i < 3000; i++) o = { next: i % 50 ? o : null, value: [i, n] }; //@ in objects
  kept[n & 63] = o;
  return o.value[0];
}

function strings(n) { //@ fn strings leaf
  var i, s = '';
  for (i = 0; i < 1000; i++) s += String.fromCharCode(97 + ((i + n) % 26)) + i; //@ in strings
  return s.length;
}

function compiled(n) { //@ fn compiled leaf
  var f = (0, eval)('(function generated(n) { var i, s = n; for (i = 0; i < 30000; i++) s = (s * 41 + i) | 0; return s; })//' + //@ in compiled
    (serial++ & 1023)); //@ in compiled
  return f(n); //@ in compiled
}

function churn(n) { //@ fn churn leaf
  var s = closures(n); //@ in churn
  s += objects(n); //@ in churn
  s += strings(n); //@ in churn
  return (n & 7) === 0 ? s + compiled(n) : s; //@ in churn
}

require('fs').writeSync(1, 'READY\n');
while (Date.now() < end) {
  sink = (sink + churn(sink & 1023) + 1) | 0; //@ in top
}
