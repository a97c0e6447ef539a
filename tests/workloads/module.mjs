// An ES module with new Function and eval in it.
//@ node 12.22..
//@ chain top > exported > burn
//@ chain top > held > burn
//@ chain top > Box.open > burn
//@ chain top > made > burn
//@ chain top > evaluated > burn
//@ fn made leaf name=(anonymous) at=[eval]:1
//@ fn evaluated leaf at=[eval]:1
import { writeSync } from 'fs';

const end = Date.now() + (+process.env.WORKLOAD_SECONDS || 600) * 1000;
let sink = 0, size = 0, turn = 0;

function burn(n) { //@ fn burn leaf
  let s = n;
  for (let i = 0; i < size; i++) s = (s * 31 + i) | 0; //@ in burn
  return s;
}

export function exported(n) { //@ fn exported
  return burn(n) + 1; //@ in exported
}

export const held = n => burn(n) + 3; //@ fn held; in held

export default class Box {
  static open(n) { //@ fn Box.open name=open
    return burn(n) + 2; //@ in Box.open
  }
}

const made = new Function('burn', 'n', 'size',
  'let s = n; for (let i = 0; i < size; i++) s = (s * 43 + i) | 0; return s ^ burn(n);');
const evaluated = (0, eval)('(function evaluated(burn, n, size) { let s = n; for (let i = 0; i < size; i++) ' +
  's = (s * 43 + i) | 0; return s ^ burn(n); })');

function ready() {
  size = 400000;
  writeSync(1, 'READY\n');
}

while (Date.now() < end) {
  if (++turn < 1000) size = turn & 63;
  else if (turn === 1000) ready();
  sink ^= exported(1); //@ in top
  sink ^= held(2); //@ in top
  sink ^= Box.open(sink & 7); //@ in top
  sink ^= made(burn, 3, size); //@ in top
  sink ^= evaluated(burn, 4, size); //@ in top
}
