'use strict';
// Busy, and tells of each signal that it handles: `USR2 3`. Starts as many children as the first argument says, four
// at a time, and tells how many ended well, untraced: `CHILDREN 200`. Two workers are busy with it.
//
// With a second argument it answers SIGUSR2 by sending itself the next one, so many in all, and tells how many it sent
// and handled: `CHAIN 10000 10000`.
const { Worker, isMainThread } = require('worker_threads');
const { spawn } = require('child_process');
const say = text => require('fs').writeSync(1, text + '\n');

function burn(ms) {
  const until = Date.now() + ms;
  let sum = 0;
  while (Date.now() < until) sum += Math.sqrt(sum + 1);
  return sum;
}

function count(name) {
  let seen = 0;
  process.on('SIG' + name, () => say(`${name} ${++seen}`));
}

function children(left) {
  let running = 0, good = 0;
  (function next() {
    while (left > 0 && running < 4) {
      left--;
      running++;
      spawn('grep', ['-q', '^TracerPid:\t0$', '/proc/self/status']).on('close', code => {
        running--;
        good += code === 0;
        if (left + running === 0) say(`CHILDREN ${good}`);
        next();
      });
    }
  })();
}

function chain(wanted) {
  let sent = 1, handled = 0;
  process.on('SIGUSR2', () => {
    handled++;
    if (sent < wanted) {
      sent++;
      process.kill(process.pid, 'SIGUSR2');
    } else if (handled >= sent) {
      setTimeout(() => say(`CHAIN ${sent} ${handled}`), 100);
    }
  });
}

if (!isMainThread) {
  setInterval(() => burn(4), 10);
} else {
  for (let i = 0; i < 2; i++) new Worker(__filename);
  setInterval(() => burn(2), 5);
  setTimeout(() => say('READY'), 300);
  if (process.argv[3]) {
    chain(+process.argv[3]);
  } else {
    ['USR2', 'TERM', 'INT', 'WINCH', 'HUP'].forEach(count);
    process.once('SIGUSR2', () => setTimeout(children, 500, +process.argv[2]));
  }
}
