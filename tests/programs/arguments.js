// A call that lasts, with arguments of many kinds.
function outer(name, n, flag, nothing, frac, long) { return inner(name + '!', n * 2, {}, undefined); }
function inner(name, n, object, missing) { for (let at = 0, sum = 0; ; at++) sum += Math.sqrt(at); }

console.log('READY');
setImmediate(() => outer('al\x1bice', 21, true, null, 0.25, 'x'.repeat(60)));
