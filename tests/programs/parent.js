// Starts a Node of another version by itself and one more behind a shell that becomes it later; ends with the first
// one's exit code and one more.
const { spawn } = require('child_process');
const [, , other, old] = process.argv;

function burnInParent() { const until = Date.now() + 20; while (Date.now() < until); }

const timer = setInterval(burnInParent, 40);
spawn('sh', ['-c', 'sleep 0.4; exec "$0" "$1"', old, `${__dirname}/child.js`], { stdio: 'inherit' });
spawn(other, [`${__dirname}/child.js`], { stdio: 'inherit' }).on('exit', (code) => {
  clearInterval(timer);
  process.exitCode = code + 1;
});
