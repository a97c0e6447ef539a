// A small web shop that is its own customer: something to profile. It ends by itself after the
// given number of seconds (12 if none is given).
'use strict';

const http = require('http');
const zlib = require('zlib');
const { promisify } = require('util');

const gzip = promisify(zlib.gzip);
const seconds = Number(process.argv[2] || 12);

class Catalogue {
  constructor(size) {
    this.items = Array.from({ length: size }, (_, id) => ({
      id,
      name: `${['Blue', 'Small', 'Heavy', 'Old'][id % 4]} ${['lamp', 'chair', 'teapot'][id % 3]} No. ${id}`,
      cents: 100 + (id * 7919) % 9900,
      tags: [`tag${id % 17}`, `tag${id % 5}`],
    }));
  }

  search(words) {
    const pattern = new RegExp(words.map((word) => `(?=.*\\b${word}\\b)`).join(''), 'i');
    return this.items.filter((item) => pattern.test(item.name));
  }

  byPrice(items) {
    return items.slice().sort((a, b) => a.cents - b.cents || a.name.localeCompare(b.name));
  }
}

class Basket {
  constructor(catalogue) {
    this.catalogue = catalogue;
    this.lines = new Map();
  }

  add(id, count) {
    this.lines.set(id, (this.lines.get(id) || 0) + count);
    return this;
  }

  get total() {
    let total = 0;
    for (const [id, count] of this.lines) total += discounted(this.catalogue.items[id].cents * count, count);
    return total;
  }
}

function discounted(cents, count) {
  let factor = 1;
  for (let step = 1; step < count; step++) factor *= 1 - 0.05 / step;
  return Math.round(cents * factor);
}

function checksum(text) {
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = (sum * 31 + text.charCodeAt(at)) >>> 0;
  return sum;
}

const catalogue = new Catalogue(2000);

const pages = {
  '/search': async (query) => {
    const found = catalogue.byPrice(catalogue.search(query.words));
    return { count: found.length, cheapest: found.slice(0, 20) };
  },
  '/order': async (query) => {
    const basket = new Basket(catalogue);
    for (const { id, count } of query.lines) basket.add(id, count);
    return { total: basket.total, receipt: checksum(JSON.stringify([...basket.lines])) };
  },
  '/report': async () => {
    const tags = {};
    for (const item of catalogue.items) {
      for (const tag of item.tags) (tags[tag] = tags[tag] || []).push(item);
    }
    const text = JSON.stringify(tags);
    return { bytes: text.length, zipped: (await gzip(text)).length };
  },
};

async function readAll(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

const server = http.createServer(async function serve(request, response) {
  const answer = await pages[request.url](JSON.parse(await readAll(request)));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answer));
});

function ask(path, query) {
  return new Promise((resolve, reject) => {
    const { port } = server.address();
    const request = http.request({ host: '127.0.0.1', port, path, method: 'POST' }, (response) => {
      readAll(response).then(JSON.parse).then(resolve, reject);
    });
    request.on('error', reject);
    request.end(JSON.stringify(query));
  });
}

async function customer(number, until) {
  let asked = 0;
  for (; Date.now() < until; asked += 3) {
    await ask('/search', { words: ['lamp', String(number % 4 ? 'blue' : 'heavy')] });
    const lines = Array.from({ length: 400 }, (_, at) => ({ id: (at * number) % 2000, count: at % 40 }));
    await ask('/order', { lines });
    if (asked % 30 === 0) await ask('/report', {});
  }
  return asked;
}

server.listen(0, '127.0.0.1', async () => {
  const until = Date.now() + seconds * 1000;
  const asked = await Promise.all([1, 2, 3, 4].map((number) => customer(number, until)));
  console.log(`${asked.reduce((sum, count) => sum + count, 0)} requests served`);
  server.close();
  process.exit(0);
});
