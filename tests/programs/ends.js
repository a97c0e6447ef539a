'use strict';
// Busy with three workers for half a second, then ends in the way that the first argument says.
const { Worker, isMainThread } = require('worker_threads');
let sink = [];

function burn(ms) {
  const until = Date.now() + ms;
  let sum = 0;
  while (Date.now() < until) sum += Math.sqrt(sum + 1);
  return sum;
}

const ends = {
  code: () => process.exit(7),
  throws: () => { throw new Error('as wanted'); },
  abort: () => process.abort(),
  kill: () => process.kill(process.pid, 'SIGKILL'),
  // Until the limit of its memory cgroup.
  memory: () => { for (;;) sink.push(Buffer.alloc(1 << 20, 1)); },
  execve: () => process.execve(process.execPath, [process.execPath, '-e', 'console.log("NEW"); setInterval(() => {}, 9)']),
};

if (isMainThread) {
  for (let i = 0; i < 3; i++) new Worker(__filename);
  setTimeout(() => require('fs').writeSync(1, 'READY\n'), 200);
  const timer = setInterval(() => burn(4), 5);
  setTimeout(() => { clearInterval(timer); ends[process.argv[2]](); }, 700);
} else {
  setInterval(() => burn(8), 10);
}
