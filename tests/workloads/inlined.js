'use strict';
// Small functions that V8 inlines: calls, methods, accessors, constructors, closures, callbacks of built-ins.
//@ chain top > drive > step > scale > mix
//@ chain top > drive > twice > mix
//@ chain top > drive > viaCall > mix
//@ chain top > drive > Point > mix
//@ chain top > drive > Point.norm > square > mix
//@ chain top > drive > getter > mix
//@ chain top > drive > closure > mix
//@ chain top > drive > added > mix
//@ chain top > drive > guarded > mix
//@ chain top > drive > few > mix
var end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000, sink = 0, size = 0, turn = 0;
var list = [1, 2, 3];

function mix(x) { //@ fn mix leaf
  for (var i = 0; i < size; i++) { //@ in mix
    x = (x * 31 + i) | 0; //@ in mix
    x ^= x >>> 3; //@ in mix
  }
  return x;
}

function scale(x) { //@ fn scale
  return mix(x) * 3; //@ in scale
}

function step(x) { //@ fn step
  return scale(x) + 1; //@ in step
}

function twice(x) { //@ fn twice
  var a = mix(x); //@ in twice
  var b = mix(x + 1); //@ in twice
  return a ^ b;
}

function viaCall(x) { //@ fn viaCall
  return mix.call(null, x) + 1; //@ in viaCall
}

function Point(x) { //@ fn Point
  this.x = mix(x); //@ in Point
}

function square(x) { //@ fn square
  return mix(x) * x; //@ in square
}

Point.prototype.norm = function () { //@ fn Point.norm
  return square(this.x) + 1; //@ in Point.norm
};

var point = new Point(3);
Object.defineProperty(point, 'length', {
  get: function getter() { //@ fn getter
    return mix(this.x); //@ in getter
  }
});

function makeClosure(y) {
  return function closure(x) { //@ fn closure
    return mix(x) + y; //@ in closure
  };
}
var closure = makeClosure(5);

function added(sum, x) { //@ fn added
  return (sum + mix(x)) | 0; //@ in added
}

function guarded(x) { //@ fn guarded
  try {
    return mix(x); //@ in guarded
  } catch (e) {
    return 0;
  }
}

function few(x, y) { //@ fn few
  return mix(y === undefined ? x : y); //@ in few
}

function drive(n) { //@ fn drive
  var i, s = n;
  for (i = 0; i < 40; i++) { //@ in drive
    s = step(s) | 0; //@ in drive>step
    s = twice(s) | 0; //@ in drive>twice
    s = viaCall(s) | 0; //@ in drive>viaCall
    s = (s + new Point(s).x) | 0; //@ in drive>Point
    s = point.norm() | 0; //@ in drive>Point.norm
    s = (s + point.length) | 0; //@ in drive>getter
    s = closure(s) | 0; //@ in drive>closure
    s = list.reduce(added, s); //@ in drive>added
    s = guarded(s) | 0; //@ in drive>guarded
    s = few(s); //@ in drive>few
  }
  return s;
}

function ready() {
  size = 400000;
  require('fs').writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= drive(sink & 7); //@ in top
}
