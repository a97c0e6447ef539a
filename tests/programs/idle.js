'use strict';
// An HTTP server, idle; with a number as argument each 10 ms that share of them is work. Answers a request by its
// event loop's utilization since the request before: `ELU 0.0003`.
const { performance } = require('perf_hooks');
const share = +process.argv[2] || 0;

function work(rounds) {
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum += Math.sqrt(sum + i);
  return sum;
}

// How many rounds take that share of 10 ms on a CPU of its own: the fastest of some tries.
function calibrate() {
  let fastest = Infinity;
  for (let i = 0; i < 200; i++) {
    const begin = performance.now();
    work(20000);
    fastest = Math.min(fastest, performance.now() - begin);
  }
  return Math.round(20000 * share * 10 / fastest);
}

let last = performance.eventLoopUtilization();
const server = require('http').createServer((request, response) => {
  const now = performance.eventLoopUtilization();
  response.end(`ELU ${performance.eventLoopUtilization(now, last).utilization}\n`);
  last = now;
});
server.listen(0, '127.0.0.1', () => {
  if (share > 0) {
    const rounds = calibrate();
    setInterval(work, 10, rounds);
  }
  console.log('PORT', server.address().port);
  console.log('READY');
});
