'use strict';
// Functions so short that most of their time is prologue and epilogue.
//@ chain top > spin > add
//@ chain top > spin > a > b > c > d
//@ chain top > spin > five
//@ chain top > spin > count*12
//@ chain top > spin > empty
//@ chain top > spin > variadic
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0;

function add(x, y) { return (x + y) | 0; } //@ fn add leaf; in add
function d(x) { return x ^ 1; } //@ fn d leaf; in d
function c(x) { return d(x) + 1; } //@ fn c leaf; in c
function b(x) { return c(x) ^ 2; } //@ fn b leaf; in b
function a(x) { return b(x) + 3; } //@ fn a leaf; in a
function five(p, q, r, s, t) { return (p + q + r + s + t) | 0; } //@ fn five leaf; in five
function count(n) { return n > 1 ? count(n - 1) + 1 : 1; } //@ fn count leaf; in count
function empty() {} //@ fn empty leaf; in empty
function variadic(x) { return x + arguments.length; } //@ fn variadic leaf; in variadic

function spin(n) { //@ fn spin leaf
  var i, s = n;
  for (i = 0; i < 20000; i++) { //@ in spin
    s = add(s, i); //@ in spin
    s = a(s) | 0; //@ in spin
    s = five(s, i, 1, 2) | 0; //@ in spin
    s = five(s, i, 1, 2, 3, 4, 5) | 0; //@ in spin
    s = (s + count(12)) | 0; //@ in spin
    empty(); //@ in spin
    s = (s + variadic(i, s)) | 0; //@ in spin
  }
  return s;
}

require('fs').writeSync(1, 'READY\n');
while (Date.now() < end) {
  sink ^= spin(sink & 7); //@ in top
}
