'use strict';
// Keeps V8 at work other than JavaScript: `gc` makes garbage that lives for a while, `compile` makes new functions,
// `miss` reads properties of ever new shapes, `deopt` returns to thousands of frames whose optimized code is no longer
// valid. Needs --allow-natives-syntax. Every 50 ms it tells how many milliseconds it has spent in the garbage
// collector so far, and when that was: `GC 12.5 350.1`.
const { PerformanceObserver, performance } = require('perf_hooks');
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
  deopt() {
    const down = new Function('left', 'then', 'again', 'return left === 0 ? (then(), 0) : again(left - 1, then, again) + 1');
    const nothing = () => {};
    %PrepareFunctionForOptimization(down);
    down(10, nothing, down);
    %OptimizeFunctionOnNextCall(down);
    down(10, nothing, down);
    down(3000, () => %DeoptimizeFunction(down), down);
  },
};
let collecting = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (collecting += entry.duration)))
  .observe({ entryTypes: ['gc'] });
const todo = process.argv.slice(2);
let turn = 0;
console.log('READY');
setInterval(() => console.log(`GC ${collecting.toFixed(1)} ${performance.now().toFixed(1)}`), 50);
(function turns() {
  todo.forEach((name) => work[name](turn++));
  setImmediate(turns);
})();
