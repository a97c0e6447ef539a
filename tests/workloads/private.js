'use strict';
// Private methods, class fields and static blocks.
//@ node 16.11..
//@ chain top > round > open > hidden > burn
//@ chain top > round > open > hiddenStatic > burn
//@ chain top > round > open > hiddenGetter
//@ chain top > round > field > burn
//@ chain top > round > fixedField > burn
//@ chain top > round > Vault > fields > initial
const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

function initial() { //@ fn initial leaf
  let s = 1;
  for (let i = 0; i < size; i++) s = (s * 37 + i) | 0; //@ in initial
  return s;
}

class Vault { #secret = initial(); //@ fn fields name=<instance_members_initializer> name@21..=Vault; in fields
  constructor() {} //@ fn Vault; in Vault
  field = n => burn(n) + this.#secret; //@ fn field; in field
  static fixedField = n => burn(n) ^ 1; //@ fn fixedField; in fixedField
  #hidden(n) { //@ fn hidden name=#hidden
    return burn(n) + 2; //@ in hidden
  }
  static #hiddenStatic(n) { //@ fn hiddenStatic name=#hiddenStatic
    return burn(n) + 3; //@ in hiddenStatic
  }
  get #value() { //@ fn hiddenGetter leaf name="get #value"
    let s = this.#secret;
    for (let i = 0; i < size; i++) s = (s * 41 + i) | 0; //@ in hiddenGetter
    return s;
  }
  open(n) { //@ fn open
    let s = this.#hidden(n); //@ in open
    s += Vault.#hiddenStatic(n); //@ in open
    return s + this.#value; //@ in open
  }
}

const held = new Vault();

function round(n) { //@ fn round
  let s = held.open(n); //@ in round
  s += held.field(n); //@ in round
  s += Vault.fixedField(n); //@ in round
  return (s + new Vault().open.length) | 0; //@ in round
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
