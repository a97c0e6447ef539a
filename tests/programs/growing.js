'use strict';
// Compiles new functions all the time, makes them hot, and drops them: V8 makes pages for their code, and moves what
// lives on in collections. As in a compiler that warms up, frames of all ages stand on each stack.

const parts = 12;
const modules = [];

function grow(round) {
  const lines = [];
  for (let part = 0; part < parts; part++) {
    const next = part + 1 < parts ? `part${part + 1}(value + ${part}, made)` : `last(value, made)`;
    lines.push(`function part${part}(value, made) {
      let sum = ${round};
      for (let i = 0; i < 20; i++) sum = (sum * 31 + i + value) | 0;
      made.push({ sum, part: 'part${part}', before: made.length ? made[made.length - 1] : null });
      return sum + ${next};
    }`);
  }
  lines.push('return part0;');
  return new Function('last', lines.join('\n'));
}

function last(value, made) {
  return value + made.length;
}

let kept = [];
let sink = 0;
process.stdout.write('READY\n');
for (let round = 0; ; round++) {
  const enter = grow(round)(last);
  modules[round % 30] = enter;
  for (let call = 0; call < 2000; call++) {
    const made = [];
    sink += modules[(round * 7 + call) % modules.length](call, made);
    if (call % 8 === 0) kept.push(made);
    if (kept.length > 4000) kept = kept.slice(3000);
  }
}
