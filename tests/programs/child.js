// Computes for some seconds and ends with 8. Runs on every Node.
function burnInChild() { var until = Date.now() + 20; while (Date.now() < until); }
setInterval(burnInChild, 40);
setTimeout(function () { process.exit(8); }, 3000);
