// Search: which items match, what share of the samples that is, and the way from match to match.

class Search {
  constructor(field, regexp, output, onChange) {
    Object.assign(this, { field, regexp, output, onChange });
    // All that is typed in one go is one step.
    let fresh = true;
    field.addEventListener("focus", () => (fresh = true));
    field.addEventListener("input", () => {
      onChange(fresh);
      fresh = false;
    });
    regexp.addEventListener("change", () => onChange(true));
    this.at = -1;
  }

  // The pattern of a query; null where there is none, undefined where it is no regular expression.
  static pattern(query, regexp) {
    if (!query) return null;
    try {
      return new RegExp(regexp ? query : query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
    } catch {
      return undefined;
    }
  }

  // Marks matching items; null where nothing is searched for.
  static matches(items, pattern) {
    if (!pattern) return null;
    const matches = new Uint8Array(items.count);
    for (let item = 0; item < items.count; item++) matches[item] = pattern.test(items.label(item)) ? 1 : 0;
    return matches;
  }

  // Matching boxes with no matching caller, heaviest first.
  static boxes(model, matches) {
    if (!model || !matches) return [];
    const covered = new Uint8Array(model.count);
    const boxes = [];
    for (let box = 1; box < model.count; box++) {
      if (covered[model.parent[box]]) {
        covered[box] = 1;
      } else if (matches[model.item[box]]) {
        covered[box] = 1;
        boxes.push(box);
      }
    }
    return boxes.sort((a, b) => model.total[b] - model.total[a]);
  }

  report(pattern, share, items, position) {
    this.field.setAttribute("aria-invalid", pattern === undefined ? "true" : "false");
    if (pattern === undefined) this.output.textContent = "not a regular expression";
    else if (!pattern) this.output.textContent = "";
    else if (!items) this.output.textContent = "no match";
    else this.output.textContent = `${share} in ${items === 1 ? "1 function" : `${formatCount(items)} functions`}${position}`;
  }
}
