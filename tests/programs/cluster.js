// A cluster of eight workers that compute, and a primary that does so too.
const cluster = require('cluster');

function burn(ms) {
  const until = Date.now() + ms;
  let sum = 0;
  while (Date.now() < until) sum += Math.sqrt(sum + 1);
}

function burnInPrimary() { burn(10); setTimeout(burnInPrimary, 50); }
function burnInWorker() { burn(20); setTimeout(burnInWorker, 60); }

if (cluster.isMaster) {
  let online = 0;
  for (let n = 0; n < 8; n++) cluster.fork().on('message', () => { if (++online === 8) console.log('READY'); });
  burnInPrimary();
} else {
  process.send('online');
  burnInWorker();
}
