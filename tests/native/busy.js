// Keeps the main thread in C++ and C of every kind: V8's runtime and collector, crypto, zlib, ICU, libuv's
// file and network calls. For Node 12 and later.
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const zlib = require('zlib');

const text = Buffer.alloc(200000, 'hello world ');
let kept = [];

function work(turn) {
  JSON.parse(JSON.stringify(kept.slice(0, 50)));
  crypto.createHash('sha256').update(text).digest('hex');
  crypto.pbkdf2Sync('password', 'salt', 200, 32, 'sha1');
  zlib.gunzipSync(zlib.gzipSync(text));
  for (let i = 0; i < 2000; i++) kept.push({ i, name: 'x' + i, pair: [i, i + 1] });
  if (kept.length > 200000) kept = [];
  fs.readdirSync('/usr/bin');
  fs.readFileSync('/etc/passwd');
  os.networkInterfaces();
  kept.slice(0, 20000).sort((a, b) => (b.i % 97) - (a.i % 97));
  'abc'.repeat(2000).replace(/b(c)/g, (match, c) => c + 1);
  new Function('a', `return a + ${turn}; /* ${turn} */`)(1);
  text.toString('base64').indexOf('zzzz');
  Buffer.compare(text, Buffer.from(text));
  'Ünïcode'.repeat(500).normalize('NFD');
  for (let i = 0; i < 300; i++) new Date(i * 1e9).toISOString();
}

let turn = 0;
console.log('READY');
setInterval(() => work(turn++), 0);
