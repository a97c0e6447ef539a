// Threads of every kind that run: the main one, a named worker, one without a name and some that live for a
// moment, libuv's pool (pbkdf2) and V8's own helpers (garbage of the main thread).
const { Worker, isMainThread, workerData } = require('worker_threads');
const crypto = require('crypto');

function burn(ms) {
  const until = Date.now() + ms;
  let kept = [];
  while (Date.now() < until) {
    kept.push({ at: kept.length });
    if (kept.length > 20000) kept = [];
  }
}

function burnOnMain() { burn(20); setTimeout(burnOnMain, 5); }
function burnInIndexer() { burn(20); setTimeout(burnInIndexer, 5); }
function burnInOther() { burn(20); setTimeout(burnInOther, 5); }

const work = { indexer: burnInIndexer, other: burnInOther, brief: () => burn(150) };

if (isMainThread) {
  new Worker(__filename, { name: 'indexer', workerData: 'indexer' });
  new Worker(__filename, { workerData: 'other' });
  (function brief() { new Worker(__filename, { workerData: 'brief' }).on('exit', () => setTimeout(brief, 100)); })();
  (function hash() { crypto.pbkdf2('a', 'b', 20000, 64, 'sha512', hash); })();
  burnOnMain();
  setTimeout(() => console.log('READY'), 300);
} else {
  work[workerData]();
}
