'use strict';
// Profiles a Node process by its inspector, whose address is the first argument: a line on standard input is
// "start" or "stop", and is answered when it is done. One sample a millisecond, as DevTools takes them.

const socket = new WebSocket(process.argv[2]);
const waiting = new Map();
let last = 0;

function fail(why) {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

function call(method, params) {
  const id = ++last;
  socket.send(JSON.stringify({ id, method, params }));
  return new Promise((resolve) => waiting.set(id, resolve));
}

socket.addEventListener('message', ({ data }) => {
  const { id, error, result } = JSON.parse(data);
  if (error) fail(error.message);
  waiting.get(id)?.(result);
  waiting.delete(id);
});
socket.addEventListener('error', () => fail('no connection'));
socket.addEventListener('close', () => fail('the connection was closed'));
socket.addEventListener('open', async () => {
  await call('Profiler.enable');
  await call('Profiler.setSamplingInterval', { interval: 1000 });
  process.stdout.write('ready\n');
  for await (const line of require('node:readline').createInterface({ input: process.stdin })) {
    await call(`Profiler.${line}`);
    process.stdout.write(`${line}\n`);
  }
  process.exit(0);
});
setTimeout(() => waiting.size > 0 && fail('no answer'), 20_000).unref();
