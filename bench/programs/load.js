'use strict';
// One kind of work for ever. Says a hundred times a second: time on the monotonic clock in ns, units of work
// done so far, p99 of the event loop's delay since the last line in ns (0 where nothing loops).

let done = 0;
let last = process.hrtime.bigint();
const delay = require('node:perf_hooks').monitorEventLoopDelay({ resolution: 1 });
const write = require('node:fs').writeSync;

function tell() {
  const now = process.hrtime.bigint();
  if (now - last < 10_000_000n) return;
  last = now;
  write(1, `${now} ${done} ${delay.count > 0 ? delay.percentile(99) : 0}\n`);
  delay.reset();
}

const kinds = {
  numeric() {
    let sum = 0;
    for (let i = 0; i < 20000; i++) sum = (sum * 31 + Math.sqrt(i)) % 1e9;
    return sum;
  },
  json() {
    const text = JSON.stringify({ list: Array.from({ length: 200 }, (_, i) => ({ id: i, name: `n${i}` })) });
    return JSON.parse(text).list.length;
  },
  regexp() {
    let count = 0;
    for (let i = 0; i < 50; i++) count += 'a-12,bc-345,d-6,'.repeat(8).match(/([a-z]+)-(\d+)/g).length;
    return count;
  },
  recursion() {
    const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));
    const deep = (n) => (n === 0 ? fib(14) : deep(n - 1) + 1);
    return deep(400);
  },
  garbage() {
    let list = [];
    for (let i = 0; i < 2000; i++) list = [i, list, { i }, `${i}`];
    return list.length;
  },
};

async function promises() {
  const step = async (n) => (n === 0 ? 0 : 1 + (await step(n - 1)));
  for (;;) {
    for (let i = 0; i < 20; i++) {
      await step(20);
      done++;
    }
    tell();
  }
}

function http() {
  const server = require('node:http').createServer((request, response) => {
    done++;
    response.end(JSON.stringify({ url: request.url, headers: request.headers, done }));
  });
  // It stands for seconds while it is another program's turn, and its clients are to be there after that.
  server.keepAliveTimeout = server.headersTimeout = server.requestTimeout = 0;
  server.listen(0, '127.0.0.1', () => {
    const client = `
      const http = require('node:http');
      const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
      const next = () => http.get({ port: ${server.address().port}, host: '127.0.0.1', agent, path: '/a' },
        (response) => response.resume().on('end', next)).on('error', () => process.exit());
      for (let i = 0; i < 8; i++) next();
      setInterval(() => process.kill(${process.pid}, 0), 500);`;
    require('node:child_process').spawn(process.execPath, ['-e', client], { stdio: 'ignore' });
    delay.enable();
    setInterval(tell, 10);
  });
}

const kind = process.argv[2];
process.stdout.write('READY\n');
if (kind === 'promises') promises();
else if (kind === 'http') http();
else {
  for (;;) {
    kinds[kind]();
    done++;
    tell();
  }
}
