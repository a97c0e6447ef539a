'use strict';
// Methods of prototypes and object literals, accessors, closures, functions named by what they are assigned to.
//@ chain top > round > Account.deposit > Account.settle
//@ chain top > round > Account
//@ chain top > round > holder.nested.fn
//@ chain top > round > table.run > viaVariable
//@ chain top > round > getter
//@ chain top > round > setter
//@ chain top > round > closure > viaVariable
//@ chain top > round > exports.run
//@ chain top > round > named
//@ chain top > round > immediate
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;

function Account(n) { //@ fn Account leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in Account
  this.balance = s;
}

Account.prototype.deposit = function (n) { //@ fn Account.deposit
  return this.settle(n) + 1; //@ in Account.deposit
};

Account.prototype.settle = function (n) { //@ fn Account.settle leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in Account.settle
  return s ^ this.balance;
};

var holder = { nested: {} };
holder.nested.fn = function (n) { //@ fn holder.nested.fn leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 41 + i) | 0; //@ in holder.nested.fn
  return s;
};

var viaVariable = function (n) { //@ fn viaVariable leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 43 + i) | 0; //@ in viaVariable
  return s;
};

var table = {
  run: function (n) { //@ fn table.run name=run name@..6.0=table.run
    return viaVariable(n) + 2; //@ in table.run
  },
  get value() { //@ fn getter leaf name="get value" name@..5=value
    var i, s = 3;
    for (i = 0; i < size; i++) s = (s * 47 + i) | 0; //@ in getter
    return s;
  },
  set value(n) { //@ fn setter leaf name="set value" name@..5=value
    var i, s = n;
    for (i = 0; i < size; i++) s = (s * 53 + i) | 0; //@ in setter
    sink ^= s;
  }
};

function makeClosure(step) {
  return function closure(n) { //@ fn closure
    return viaVariable(n + step) + step; //@ in closure
  };
}
var closures = [makeClosure(1), makeClosure(2)];

exports.run = function (n) { //@ fn exports.run leaf
  var i, s = n;
  for (i = 0; i < size; i++) s = (s * 59 + i) | 0; //@ in exports.run
  return s;
};

function round(n) { //@ fn round
  var account = new Account(n); //@ in round
  var s = account.deposit(n); //@ in round
  s += holder.nested.fn(n); //@ in round
  s += table.run(n); //@ in round
  s += table.value; //@ in round
  table.value = n; //@ in round
  s += closures[n & 1](n); //@ in round
  s += exports.run(n); //@ in round
  s += (function named(k) { //@ fn named leaf; in round
    var i, t = k;
    for (i = 0; i < size; i++) t = (t * 61 + i) | 0; //@ in named
    return t;
  })(n); //@ in round
  s += (function (k) { //@ fn immediate leaf name=(anonymous); in round
    var i, t = k;
    for (i = 0; i < size; i++) t = (t * 67 + i) | 0; //@ in immediate
    return t;
  })(n); //@ in round
  return s | 0;
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink = (sink + round(sink & 7)) | 0; //@ in top
}
