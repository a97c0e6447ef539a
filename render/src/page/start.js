// Begins.

new App(decodeProfile((id) => byId(id)?.textContent ?? ""));
