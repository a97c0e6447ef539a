// Computes until its parent is gone. Says READY, or starts the command that its arguments are.
const { spawn } = require('child_process');

const parent = process.ppid;
const [, , ...command] = process.argv;

function burnInFamily() {
  const until = Date.now() + 20;
  while (Date.now() < until);
  if (process.ppid !== parent) process.exit();
  setTimeout(burnInFamily, 20);
}

if (command.length === 0) console.log('READY');
else spawn(command[0], command.slice(1), { stdio: 'inherit' });
burnInFamily();
