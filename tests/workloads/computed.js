'use strict';
// Functions whose name stands only in their own `name` property: computed members, and names that were set.
//@ node 8..
//@ chain top > round > computed > burn
//@ chain top > round > fixed > burn
//@ chain top > round > getter > burn
//@ chain top > round > symbol > burn
//@ chain top > round > shorthand > burn
//@ chain top > round > arrow > burn
//@ chain top > round > given > burn
//@ chain top > round > first > burn
//@ chain top > round > second > burn
//@ chain top > round > declared > burn
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;
const tail = 'ed', tag = Symbol('tag');

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

class Computed {
  ['comput' + tail](n) { //@ fn computed
    return burn(n) + 1; //@ in computed
  }
  static ['fix' + tail](n) { //@ fn fixed
    return burn(n) + 2; //@ in fixed
  }
  get ['gett' + tail]() { //@ fn getter name="get getted"
    return burn(3); //@ in getter
  }
  [tag](n) { //@ fn symbol name=[tag]
    return burn(n) + 4; //@ in symbol
  }
}

const literal = {
  ['shorthand' + tail](n) { //@ fn shorthand name=shorthanded
    return burn(n) + 5; //@ in shorthand
  },
  ['arrow' + tail]: n => burn(n) + 6, //@ fn arrow name=arrowed; in arrow
};

function called(name, f) {
  return Object.defineProperty(f, 'name', { value: name });
}

const given = called('given', n => burn(n) + 7); //@ fn given; in given

function make(name) { // One function's code with two names.
  return called(name, n => burn(n) + 8); //@ fn first; in first; fn second; in second
}
const first = make('first'), second = make('second');

function declared(n) { //@ fn declared
  return burn(n) + 9; //@ in declared
}
called('other', declared);

const computed = new Computed();

function round(n) { //@ fn round
  let s = computed.computed(n); //@ in round
  s += Computed.fixed(n); //@ in round
  s += computed.getted; //@ in round
  s += computed[tag](n); //@ in round
  s += literal.shorthanded(n); //@ in round
  s += literal.arrowed(n); //@ in round
  s += given(n); //@ in round
  s += first(n); //@ in round
  s += second(n); //@ in round
  return (s + declared(n)) | 0; //@ in round
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
