'use strict';
// Classes, arrows, closures and generators.
//@ node 8..
//@ chain top > round > Base > burn
//@ chain top > round > Derived > Base > burn
//@ chain top > round > Derived > extra
//@ chain top > round > method > burn
//@ chain top > round > method > superMethod
//@ chain top > round > fixed > burn
//@ chain top > round > getter
//@ chain top > round > setter
//@ chain top > round > arrow > burn
//@ chain top > round > curried > burn
//@ chain top > round > shorthand > burn
//@ chain top > round > generate > burn
//@ chain top > round > each > burn
//@ chain top > round > defaulted > fallback
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

class Base {
  constructor(n) { //@ fn Base
    this.n = burn(n); //@ in Base
  }
  method(n) { //@ fn superMethod leaf name=method
    let s = n;
    for (let i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in superMethod
    return s;
  }
}

class Derived extends Base {
  constructor(n) { //@ fn Derived
    super(n); //@ in Derived
    this.extra(n); //@ in Derived
  }
  extra(n) { //@ fn extra leaf
    let s = n;
    for (let i = 0; i < size; i++) s = (s * 41 + i) | 0; //@ in extra
    this.m = s;
  }
  method(n) { //@ fn method
    return burn(n) + super.method(n); //@ in method
  }
  static fixed(n) { //@ fn fixed
    return burn(n) + 1; //@ in fixed
  }
  get value() { //@ fn getter leaf name="get value"
    let s = this.n;
    for (let i = 0; i < size; i++) s = (s * 43 + i) | 0; //@ in getter
    return s;
  }
  set value(n) { //@ fn setter leaf name="set value"
    let s = n;
    for (let i = 0; i < size; i++) s = (s * 47 + i) | 0; //@ in setter
    this.m = s;
  }
}

const arrow = n => burn(n) ^ 1; //@ fn arrow; in arrow
const outer = a => b => burn(a) ^ b; //@ fn curried name=(anonymous) name@..11=b; in curried
const curried = outer(3);
const literal = {
  shorthand(n) { //@ fn shorthand
    return burn(n) ^ 2; //@ in shorthand
  },
};

function* generate(n) { //@ fn generate
  for (let i = 0; i < 3; i++) {
    yield burn(n + i); //@ in generate
  }
}

function fallback() { //@ fn fallback leaf
  let s = 5;
  for (let i = 0; i < size; i++) s = (s * 53 + i) | 0; //@ in fallback
  return s;
}

function defaulted(n = fallback()) { //@ fn defaulted; in defaulted
  return n;
}

const held = new Derived(1);

function round(n) { //@ fn round
  let s = new Base(n).n; //@ in round
  s += new Derived(n).m; //@ in round
  s += held.method(n); //@ in round
  s += Derived.fixed(n); //@ in round
  s += held.value; //@ in round
  held.value = n; //@ in round
  s += arrow(n); //@ in round
  s += curried(n); //@ in round
  s += literal.shorthand(n); //@ in round
  for (const g of generate(n)) s += g; //@ in round
  [1, 2].forEach(k => { //@ fn each name=(anonymous) name@..11=forEach.k; in round
    s += burn(k); //@ in each
  }); //@ in round
  return (s + defaulted()) | 0; //@ in round
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
