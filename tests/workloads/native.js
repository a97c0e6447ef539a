'use strict';
// Functions whose time passes in C++: JSON, regular expressions, crypto, zlib, buffers, string building.
//@ chain top > round > stringify
//@ chain top > round > parse
//@ chain top > round > match
//@ chain top > round > hash
//@ chain top > round > unpack
//@ chain top > round > copy
//@ chain top > round > build
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0;
var crypto = require('crypto'), i, rows = [], text = '';
for (i = 0; i < 300; i++) rows.push({ id: i, name: 'row ' + i, tags: ['x', 'y', i] });
for (i = 0; i < 400; i++) text += 'key' + i + '=value ' + i + ';\n';
var json = JSON.stringify(rows), bytes = Buffer.from ? Buffer.from(json) : new Buffer(json);

function stringify() { //@ fn stringify leaf
  return JSON.stringify(rows).length; //@ in stringify
}

function parse() { //@ fn parse leaf
  return JSON.parse(json).length; //@ in parse
}

function match() { //@ fn match leaf
  var m = text.match(/(\w+)=([^;]*?) \d*9;/g); //@ in match
  return m.length;
}

function hash() { //@ fn hash leaf
  var h = crypto.createHash('sha256'); //@ in hash
  h.update(bytes); //@ in hash
  h.update(bytes); //@ in hash
  return h.digest('hex').length; //@ in hash
}

function unpack() { //@ fn unpack leaf
  return bytes.toString('base64').length + bytes.toString('utf8').length; //@ in unpack
}

function copy() { //@ fn copy leaf
  var i, c = bytes.slice(0), s = 0;
  for (i = 0; i < 50; i++) { //@ in copy
    bytes.copy(c, 0, 0); //@ in copy
    s += c.toString('hex', 0, 100).length; //@ in copy
  }
  return s;
}

function build() { //@ fn build leaf
  var i, s = '';
  for (i = 0; i < 3000; i++) s += i + ','; //@ in build
  return s.split(',').length + s.indexOf('2999'); //@ in build
}

function round() { //@ fn round leaf
  var s = stringify(); //@ in round
  s += parse(); //@ in round
  s += match(); //@ in round
  s += hash(); //@ in round
  s += unpack(); //@ in round
  s += copy(); //@ in round
  return s + build(); //@ in round
}

require('fs').writeSync(1, 'READY\n');
while (Date.now() < end) {
  sink ^= round(); //@ in top
}
