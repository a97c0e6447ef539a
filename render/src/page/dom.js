// Elements and figures as text. Text is set as text, never as markup.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && key !== "role") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function formatCount(count) {
  return Math.round(count).toLocaleString("en-US").replaceAll(",", "\u202f");
}

function formatSamples(count) {
  return `${formatCount(count)} ${Math.round(count) === 1 ? "sample" : "samples"}`;
}

function formatShare(part, whole) {
  if (!whole) return "0 %";
  const share = (part / whole) * 100;
  return `${share >= 99.95 || share === 0 ? Math.round(share) : share.toFixed(share < 0.1 ? 2 : 1)} %`;
}

function formatTime(seconds) {
  if (seconds >= 100) return `${seconds.toFixed(0)} s`;
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  if (seconds >= 0.1) return `${(seconds * 1e3).toFixed(0)} ms`;
  if (seconds >= 0.0001) return `${(seconds * 1e3).toPrecision(2)} ms`;
  return seconds ? `${(seconds * 1e6).toPrecision(2)} µs` : "0 ms";
}

function formatPause(nanoseconds) {
  if (nanoseconds >= 1e6) return `${(nanoseconds / 1e6).toPrecision(3)} ms`;
  return `${(nanoseconds / 1e3).toPrecision(nanoseconds < 1e5 ? 2 : 3)} µs`;
}

function formatChange(change) {
  return `${change > 0 ? "+" : change < 0 ? "−" : "±"}${Math.abs(change * 100).toFixed(1)} %`;
}

// Copies to the clipboard, also where a page from a file may not use the clipboard's interface.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(make("textarea", { value: text, className: "unseen" }));
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// Text with the parts that match marked.
function marked(text, pattern) {
  const parts = [];
  let done = 0;
  if (pattern) {
    for (const match of text.matchAll(new RegExp(pattern.source, pattern.flags.replace("g", "") + "g"))) {
      if (!match[0]) continue;
      parts.push(text.slice(done, match.index), make("mark", { textContent: match[0] }));
      done = match.index + match[0].length;
      if (parts.length > 40) break;
    }
  }
  parts.push(text.slice(done));
  return parts;
}
