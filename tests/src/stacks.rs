//! What node-flame writes, read back: stacks of labels with counts.

use std::collections::BTreeMap;

/// One stack and how many samples had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Labels, root first.
    pub frames: Vec<String>,
    /// Number of samples.
    pub count: u64,
}

/// Reads `folded` output: lines of `root;…;leaf COUNT`.
///
/// # Errors
/// The first line that is not of this form.
pub fn folded(text: &str) -> Result<Vec<Stack>, String> {
    let read = |line: &str| {
        let (path, count) = line.rsplit_once(' ')?;
        let frames = path.split(';').map(str::to_owned).collect();
        Some(Stack { frames, count: count.parse().ok()? })
    };
    text.lines().map(|line| read(line).ok_or_else(|| format!("not a folded line: {line:?}"))).collect()
}

/// Reads `raw` or `fullraw` output: three header lines, then for each stack its frames leaf first, its count
/// on a line alone, and a blank line.
///
/// # Errors
/// What breaks the form.
pub fn raw(text: &str) -> Result<Vec<Stack>, String> {
    let mut stacks = Vec::new();
    let mut frames: Vec<String> = Vec::new();
    let mut ended = true;
    for line in text.lines().skip(3) {
        if line.is_empty() {
            ended = true;
        } else if let Ok(count) = line.trim().parse() {
            frames.reverse();
            stacks.push(Stack { frames: std::mem::take(&mut frames), count });
            ended = false;
        } else if ended {
            frames.push(line.trim().to_owned());
        } else {
            return Err(format!("no blank line before {line:?}"));
        }
    }
    if frames.is_empty() { Ok(stacks) } else { Err(format!("no count after {frames:?}")) }
}

/// A label of a JavaScript frame, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// The function's name.
    pub name: &'a str,
    /// The script's path, URL or `[eval]`.
    pub script: &'a str,
    /// A 1-based line of the script.
    pub line: u32,
}

impl<'a> Frame<'a> {
    /// Reads `NAME:SCRIPT:LINE` where SCRIPT is one of `scripts`; `None` for every other label.
    pub fn in_scripts(label: &'a str, scripts: &[&str]) -> Option<Self> {
        let (rest, line) = label.rsplit_once(':')?;
        let line = line.parse().ok()?;
        scripts.iter().find_map(|script| {
            let name = rest.strip_suffix(script)?.strip_suffix(':')?;
            Some(Self { name, script: &rest[name.len() + 1..], line })
        })
    }
}

/// Sums the counts by leaf label: self time of each function (or line).
pub fn by_leaf<'a>(stacks: &'a [Stack], of: impl Fn(&'a str) -> Option<String>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for stack in stacks {
        if let Some(key) = stack.frames.last().and_then(|label| of(label)) {
            *sums.entry(key).or_default() += stack.count;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[&str], count: u64) -> Stack {
        Stack { frames: frames.iter().map(|&f| f.to_owned()).collect(), count }
    }

    #[test]
    fn a_folded_line_ends_in_its_count() {
        assert_eq!(folded("a;get b:/x y.js:2 3\n"), Ok(vec![stack(&["a", "get b:/x y.js:2"], 3)]));
        assert!(folded("a;b\n").is_err());
    }

    #[test]
    fn raw_stacks_turn_root_first() {
        let text = "h1\nh2\n\nleaf:/a.js:3\nroot\n 4\n\nother\n1\n\n";
        assert_eq!(raw(text), Ok(vec![stack(&["root", "leaf:/a.js:3"], 4), stack(&["other"], 1)]));
        assert!(raw("h1\nh2\n\nleaf\n").is_err());
    }

    #[test]
    fn a_label_splits_around_its_script() {
        let scripts = ["/a:b.js", "[eval]"];
        let frame = Frame { name: "x:y", script: "/a:b.js", line: 7 };
        assert_eq!(Frame::in_scripts("x:y:/a:b.js:7", &scripts), Some(frame));
        assert_eq!(Frame::in_scripts("f:[eval]:1", &scripts).map(|f| f.name), Some("f"));
        assert_eq!(Frame::in_scripts("f:/c.js:1", &scripts), None);
        assert_eq!(Frame::in_scripts("ArrayMap:[builtin]", &scripts), None);
    }
}
