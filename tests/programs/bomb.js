// Starts 200 short-lived Nodes, some at once, each with an exit code of its own, and ends with 7 if every code was
// right.
const { spawn } = require('child_process');

const COUNT = 200;
let [started, ended, wrong] = [0, 0, 0];

function burnInBomb(until) { while (Date.now() < until); }

function one() {
  if (started === COUNT) return;
  const code = (started++ % 100) + 1;
  const program = `function burnBriefly(until) { while (Date.now() < until); }
    burnBriefly(Date.now() + 30); process.exit(${code})`;
  spawn(process.execPath, ['-e', program]).on('exit', (got, signal) => {
    if (got !== code || signal) wrong++;
    if (++ended === COUNT) {
      console.log(`${ended} ended, ${wrong} wrong`);
      process.exit(wrong ? 1 : 7);
    }
    one();
  });
}

for (let n = 0; n < 12; n++) one();
setInterval(() => burnInBomb(Date.now() + 5), 100);
