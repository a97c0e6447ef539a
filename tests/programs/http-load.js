'use strict';
// An HTTP server that does what servers do (routes, JSON, hashes, sorting, templates, async steps), and a child
// process that keeps it busy over 20 connections. `client PORT` as arguments makes it that child; it rests
// CLIENT_PAUSE milliseconds on a connection after each answer (0).
const http = require('http');

function serve() {
  const crypto = require('crypto'), { spawn } = require('child_process');
  const orders = Array.from({ length: 2000 }, (_, id) => ({
    id, customer: `customer ${id % 97}`, total: (id * 7919) % 1000, tags: ['a', 'b', 'c'].slice(id % 3),
  }));

  async function listOrders(query) {
    const page = orders.filter(order => order.total > query.above).sort(byTotal).slice(0, 50);
    await null;
    return { page, sum: page.reduce((sum, order) => sum + order.total, 0) };
  }

  function byTotal(a, b) {
    return a.total - b.total || a.customer.localeCompare(b.customer);
  }

  function renderReport(query) {
    const groups = new Map();
    for (const order of orders) groups.set(order.customer, (groups.get(order.customer) || 0) + order.total);
    return [...groups].filter(([, total]) => total > query.above).map(renderRow).join('\n');
  }

  function renderRow([customer, total]) {
    return `<tr><td>${customer.replace(/[&<>]/g, c => `&#${c.charCodeAt(0)};`)}</td><td>${total}</td></tr>`;
  }

  class Session {
    constructor(token) {
      this.token = token;
      this.rounds = 20;
    }
    verify() {
      let digest = this.token;
      for (let i = 0; i < this.rounds; i++) digest = crypto.createHash('sha256').update(digest).digest('hex');
      return digest;
    }
  }

  const routes = {
    '/orders': async query => JSON.stringify(await listOrders(query)),
    '/report': async query => renderReport(query),
    '/session': async query => new Session(String(query.above)).verify(),
  };

  const server = http.createServer(async function onRequest(request, response) {
    const url = new URL(request.url, 'http://localhost');
    const body = await routes[url.pathname]({ above: +url.searchParams.get('above') });
    response.setHeader('content-type', 'text/plain');
    response.end(body);
  });

  server.listen(0, '127.0.0.1', () => {
    const client = spawn(process.execPath, [__filename, 'client', String(server.address().port)], { stdio: 'inherit' });
    // The client ends with this process.
    process.on('exit', () => client.kill());
    require('fs').writeSync(1, 'READY\n');
  });
  setTimeout(() => process.exit(0), (+process.env.WORKLOAD_SECONDS || 600) * 1000);
}

function ask(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 20 }), paths = ['/orders', '/report', '/session'];
  const pause = +process.env.CLIENT_PAUSE || 0;
  let asked = 0;
  function rest() {
    if (pause) setTimeout(next, pause);
    else next();
  }
  function next() {
    const path = `${paths[asked % 3]}?above=${asked++ % 1000}`;
    http.get({ host: '127.0.0.1', port, path, agent }, response => response.on('end', rest).resume())
      .on('error', () => process.exit(0));
  }
  for (let i = 0; i < 20; i++) next();
}

if (process.argv[2] === 'client') ask(+process.argv[3]);
else serve();
