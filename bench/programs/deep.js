'use strict';
// Works for ever at the bottom of as many JavaScript frames as the first argument says, Node's own
// aside. No function is called by itself, so that the stack is not one frame again and again.

function work(rounds) {
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum = (sum * 31 + i) | 0;
  return sum;
}

const layers = [];
for (let layer = 0; layer < 8; layer++) {
  layers.push(new Function('layers', 'work', 'left', 'rounds', `
    if (left <= 1) return work(rounds);
    return layers[(left * 5 + ${layer}) & 7](layers, work, left - 1, rounds) + ${layer};
  `));
}

const depth = Number(process.argv[2]) - 2;
// Compiled by now, as a program is that has run for a while.
for (let i = 0; i < 2000; i++) layers[0](layers, work, depth, 1);
process.stdout.write('READY\n');
for (;;) layers[0](layers, work, depth, 1e8);
