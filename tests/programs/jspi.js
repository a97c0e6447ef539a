'use strict';
// WebAssembly on stacks of its own, as it may be suspended (JSPI): its function calls `spin`, is suspended, calls `spin`
// again, and works itself.
function spin() {
  for (var end = Date.now() + 20; Date.now() < end;);
}

function pause() {
  return new Promise(function (resolve) { setImmediate(resolve); });
}

// (func (export "run") (local i32) call $spin call $pause call $spin
//   i32.const 16777216 local.set 0 loop local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end)
var bytes = Buffer.from('0061736d01000000' + '0104016000' + '00' + '021402016d047370696e0000016d0570617573650000' +
  '03020100' + '07070103' + '72756e' + '0002' +
  '0a1f011d01017f1000100110004180808008210003402000' + '41016b22000d000b0b', 'hex');
var imports = { m: { spin: spin, pause: new WebAssembly.Suspending(pause) } };
var run = WebAssembly.promising(new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports.run);

function enter() {
  return run();
}

var end = Date.now() + 600000;
console.log('READY');
(async function turn() {
  while (Date.now() < end) await enter();
})();
