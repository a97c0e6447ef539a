'use strict';
// Optimized code that is to be left while a call in it runs: `work` changes a constant that the code of `outer`, into
// which `helper` is inlined, was made for. Each round is a new one, since V8 makes the same assumption once.
require('v8').setFlagsFromString('--allow-natives-syntax');

function round(n) {
  var limit = 'limit' + n;
  return [
    limit + ' = 1;',
    '(function () {',
    '  function work(n) {',
    '    if (n < 2) return n;',
    '    ' + limit + ' = n;',
    '    for (var end = Date.now() + n; Date.now() < end;);', // 6
    '    return n;',
    '  }',
    '  function helper(n) {',
    '    var s = n + ' + limit + ';',
    '    s += work(n);', // 11
    '    return s * ' + limit + ';',
    '  }',
    '  function outer(n) {',
    '    var i, s = ' + limit + ';',
    '    s += helper(n);', // 16
    '    for (i = 0; i < n; i++) s = s * 31 + i;',
    '    return s - ' + limit + ';',
    '  }',
    '  %NeverOptimizeFunction(work);',
    '  %PrepareFunctionForOptimization(helper);',
    '  %PrepareFunctionForOptimization(outer);',
    '  for (var i = 0; i < 100; i++) outer(1);',
    '  %OptimizeFunctionOnNextCall(outer);',
    '  outer(1);',
    '  outer(100);',
    '})();'
  ].join('\n');
}

var turn = 0, end = Date.now() + 600000;
console.log('READY');
(function next() {
  require('vm').runInThisContext(round(turn++), { filename: 'round.js' });
  if (Date.now() < end) setTimeout(next, 0);
})();
