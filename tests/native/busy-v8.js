'use strict';
// Keeps V8 at work other than JavaScript: `gc` makes garbage that lives for a while, `compile` makes new functions,
// `miss` reads properties of ever new shapes.
const work = {
  kept: [],
  gc() {
    for (let i = 0; i < 2000; i++) work.kept[(Math.random() * 200000) | 0] = { i, pair: [i, i + 1] };
  },
  compile(turn) {
    const terms = Array.from({ length: 300 }, (_, i) => `if (a > ${i + turn}) a += b * ${i};`);
    new Function('a', 'b', `${terms.join('\n')} return a;`)(turn, 1);
  },
  miss(turn) {
    for (let i = 0; i < 300; i++) ({ [`p${turn}_${i}`]: 1, x: i }).x;
  },
};
const todo = process.argv.slice(2);
let turn = 0;
console.log('READY');
setInterval(() => todo.forEach((name) => work[name](turn++)), 0);
