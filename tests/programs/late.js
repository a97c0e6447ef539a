// Computes on its main thread all the time, and in libuv's four threads from 1.7 s after its start on.
'use strict';
const { pbkdf2 } = require('crypto');
const begin = Date.now();
let isLate = false;
(function slice() {
  for (const until = Date.now() + 5; Date.now() < until;);
  if (!isLate && Date.now() - begin > 1700) {
    isLate = true;
    for (let i = 0; i < 4; i++) pbkdf2('password', 'salt', 3e6, 64, 'sha512', () => {});
  }
  setImmediate(slice);
})();
console.log('READY');
