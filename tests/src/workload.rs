//! Workloads: programs that state the call chains they can be caught in.
//!
//! The statement stands in comments that begin with `//@`, as clauses separated by `;`:
//!
//! - `fn KEY [leaf] [name=NAME] [name@RANGE=NAME] [at=[eval]:LINE]`: a function whose first line this is (or,
//!   with `at`, that eval compiles). V8 calls it NAME, by default KEY; in a range of Node versions, another
//!   name. `leaf`: it does work of its own, so a stack may end in it.
//! - `in KEY`: a line on which a call or a loop of this function stands; `in KEY>CALLEE`: a call of CALLEE.
//! - `chain A > B*3 > (C > D)*2`: a path from a root (the module's top level, or a callback) to a leaf.
//! - `node RANGE`: the versions that can run the program.
//!
//! The function `top`, the module's own top level, is `(anonymous)` at line 1 unless stated otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::version::{Range, Version};

/// The script of code that eval or `new Function` compiled.
pub const EVAL: &str = "[eval]";

/// A function of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What the workload's comments call it.
    pub key: String,
    /// What V8 calls it.
    pub name: String,
    /// Whether [`EVAL`] is its script, not the workload's file.
    pub eval: bool,
    /// Its first line, 1-based.
    pub line: u32,
    /// Whether a stack may end in it.
    pub leaf: bool,
    /// The lines on which its calls and loops stand, each with the function that is called there if that is
    /// stated; empty if no lines are.
    pub lines: Vec<(u32, Option<usize>)>,
}

/// A workload as one Node version runs it.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The file's base name.
    pub file: String,
    /// The file's absolute path.
    pub path: PathBuf,
    /// The script name that V8 has for the file: the path, or a URL for an ES module.
    pub script: String,
    /// Its functions.
    pub functions: Vec<Function>,
    /// The stated chains, root first, as indexes into `functions`.
    pub chains: Vec<Vec<usize>>,
    /// The versions that can run it.
    pub versions: Range,
}

/// The folder of the workloads.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

/// The file names of all workloads, sorted.
///
/// # Panics
/// When the folder cannot be read.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the workloads' folder")
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with("js"))
        .collect();
    names.sort();
    names
}

impl Workload {
    /// Reads what `file` states for `version`.
    ///
    /// # Errors
    /// The statement that cannot be read, with its line.
    pub fn load(file: &str, version: Version) -> Result<Self, String> {
        let path = folder().join(file).canonicalize().map_err(|e| format!("{file}: {e}"))?;
        let text = fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
        Self::parse(file, path, &text, version)
    }

    fn parse(file: &str, path: PathBuf, text: &str, version: Version) -> Result<Self, String> {
        let script = if file.ends_with(".mjs") { file_url(&path) } else { path.display().to_string() };
        let mut this = Self {
            file: file.to_owned(),
            path,
            script,
            functions: Vec::new(),
            chains: Vec::new(),
            versions: Range::ALL,
        };
        // Functions first: chains and lines may name one that stands further down.
        for pass in [Pass::Functions, Pass::Rest] {
            for (number, line) in (1..).zip(lines(text)) {
                let Some((_, statement)) = line.split_once("//@ ") else { continue };
                for clause in statement.split(';') {
                    this.clause(pass, clause.trim(), number, version)
                        .map_err(|e| format!("{file}:{number}: {e}"))?;
                }
            }
            if pass == Pass::Functions && this.function("top").is_err() {
                this.functions.push(Function {
                    key: "top".into(),
                    name: "(anonymous)".into(),
                    eval: false,
                    line: 1,
                    leaf: false,
                    lines: Vec::new(),
                });
            }
        }
        if this.chains.is_empty() {
            return Err(format!("{file} states no chain"));
        }
        Ok(this)
    }

    fn clause(&mut self, pass: Pass, clause: &str, line: u32, version: Version) -> Result<(), String> {
        let (word, rest) = clause.split_once(' ').unwrap_or((clause, ""));
        match (word, pass) {
            ("fn", Pass::Functions) => self.functions.push(Function::parse(rest, line, version)?),
            ("node", Pass::Functions) => self.versions = rest.parse()?,
            ("in", Pass::Rest) => {
                let (caller, callee) = rest.split_once('>').unzip();
                let function = self.function(caller.unwrap_or(rest))?;
                let callee = callee.map(|callee| self.function(callee)).transpose()?;
                self.functions[function].lines.push((line, callee));
            }
            ("chain", Pass::Rest) => {
                let chain = self.chain(rest)?;
                match chain.last() {
                    Some(&last) if self.functions[last].leaf => self.chains.push(chain),
                    _ => return Err(format!("the chain {rest:?} does not end in a leaf")),
                }
            }
            ("fn" | "node" | "in" | "chain", _) => {}
            _ => return Err(format!("{clause:?} is no statement")),
        }
        Ok(())
    }

    fn function(&self, key: &str) -> Result<usize, String> {
        self.functions
            .iter()
            .position(|f| f.key == key)
            .ok_or_else(|| format!("no function is called {key:?}"))
    }

    fn chain(&self, text: &str) -> Result<Vec<usize>, String> {
        let mut chain = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let item = if let Some(group) = rest.strip_prefix('(') {
                let (inner, after) = group.split_once(')').ok_or("a group without an end")?;
                rest = after;
                self.chain(inner)?
            } else {
                let end = rest.find([' ', '*']).unwrap_or(rest.len());
                let key = &rest[..end];
                rest = &rest[end..];
                vec![self.function(key)?]
            };
            let mut times = 1;
            if let Some(count) = rest.strip_prefix('*') {
                let end = count.find(' ').unwrap_or(count.len());
                times = count[..end].parse().map_err(|_| format!("{count:?} is no number"))?;
                rest = &count[end..];
            }
            for _ in 0..times {
                chain.extend(&item);
            }
            rest = rest.strip_prefix(" > ").unwrap_or(rest);
        }
        Ok(chain)
    }

    /// Puts a copy of the file into another root folder, so that a process with that root can run it: its path
    /// and its script's name are then those in there.
    ///
    /// # Errors
    /// Why it cannot be put there.
    pub fn enter(&mut self, root: &Path) -> Result<(), String> {
        self.move_to(&root.join("workloads"))?;
        self.is_at(Path::new("/workloads").join(&self.file));
        Ok(())
    }

    /// Puts a copy of the file into another folder.
    ///
    /// # Errors
    /// Why it cannot be put there.
    pub fn move_to(&mut self, folder: &Path) -> Result<(), String> {
        let copy = folder.join(&self.file);
        // Others may run the same file at this moment.
        let new = copy.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
        fs::create_dir_all(folder)
            .and_then(|()| fs::copy(&self.path, &new))
            .and_then(|_| fs::rename(&new, &copy))
            .map_err(|e| format!("{}: {e}", copy.display()))?;
        self.is_at(copy);
        Ok(())
    }

    fn is_at(&mut self, path: PathBuf) {
        self.script = if self.file.ends_with(".mjs") { file_url(&path) } else { path.display().to_string() };
        self.path = path;
    }

    /// Every stack of the workload's functions that a sample may hold: each chain, and each shorter one that
    /// ends in a function with work of its own.
    pub fn possible(&self) -> impl Iterator<Item = &[usize]> {
        self.chains.iter().flat_map(|chain| {
            (1..=chain.len()).map(|n| &chain[..n]).filter(|c| self.functions[c[c.len() - 1]].leaf)
        })
    }

    /// The label of a function, with its first line.
    pub fn label(&self, function: usize) -> String {
        let f = &self.functions[function];
        let script = if f.eval { EVAL } else { &self.script };
        format!("{}:{script}:{}", f.name, f.line)
    }

    /// The scripts whose frames count: the file itself, and evaluated code if the workload has any.
    pub fn scripts(&self) -> Vec<&str> {
        let mut scripts = vec![self.script.as_str()];
        if self.functions.iter().any(|f| f.eval) {
            scripts.push(EVAL);
        }
        scripts
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Functions,
    Rest,
}

impl Function {
    /// Whether a line is one of its own where it calls `callee`, or where it works itself.
    pub fn can_be_at(&self, line: u32, callee: Option<usize>) -> bool {
        let fits = |called: Option<usize>| called.is_none() || callee.is_none() || called == callee;
        self.lines.iter().any(|&(stated, called)| stated == line && fits(called))
    }

    fn parse(text: &str, line: u32, version: Version) -> Result<Self, String> {
        let mut words = words(text);
        let key = words.next().ok_or("a function needs a key")?;
        let mut this = Self {
            key: key.to_owned(),
            name: key.to_owned(),
            eval: false,
            line,
            leaf: false,
            lines: Vec::new(),
        };
        for word in words {
            match word.split_once('=') {
                None if word == "leaf" => this.leaf = true,
                Some(("name", name)) => this.name = name.to_owned(),
                Some(("at", place)) => {
                    let line = place.strip_prefix(EVAL).and_then(|l| l.strip_prefix(':'));
                    let line = line.and_then(|l| l.parse().ok());
                    (this.eval, this.line) = (true, line.ok_or_else(|| format!("{place:?} is no place"))?);
                }
                Some((property, name)) if property.starts_with("name@") => {
                    if property["name@".len()..].parse::<Range>()?.contains(version) {
                        this.name = name.to_owned();
                    }
                }
                _ => return Err(format!("{word:?} says nothing about a function")),
            }
        }
        Ok(this)
    }
}

/// Lines as JavaScript counts them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r', '\u{2028}', '\u{2029}']) else {
            return rest.take();
        };
        let (line, after) = text.split_at(end);
        let both = after.starts_with("\r\n");
        rest = after.char_indices().nth(if both { 2 } else { 1 }).map(|(at, _)| &after[at..]);
        Some(line)
    })
}

/// Words separated by spaces; double quotes keep spaces in a word and are dropped.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text.trim().chars();
    std::iter::from_fn(move || {
        let mut word = String::new();
        let mut quoted = false;
        for c in rest.by_ref() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted && word.is_empty() => {}
                ' ' if !quoted => break,
                _ => word.push(c),
            }
        }
        (!word.is_empty()).then_some(word)
    })
}

/// The `file:` URL that Node makes of a path.
fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.display().to_string().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => url.push(char::from(byte)),
            b'/' | b'-' | b'.' | b'_' | b'~' | b'@' | b'+' | b',' | b'=' | b'(' | b')' | b'\'' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Version = Version::new(22, 23, 3);

    fn parse(text: &str) -> Result<Workload, String> {
        Workload::parse("w.js", "/w.js".into(), text, NODE)
    }

    #[test]
    fn every_workload_states_chains_that_can_be_read() {
        for name in names() {
            let workload = Workload::load(&name, NODE).unwrap();
            assert!(workload.possible().count() > 0, "{name}");
            for f in &workload.functions {
                let used = |chain: &Vec<usize>| chain.iter().any(|&i| workload.functions[i].key == f.key);
                assert!(f.key == "top" || workload.chains.iter().any(used), "{name}: {} in no chain", f.key);
            }
        }
    }

    #[test]
    fn chains_repeat_and_end_where_work_is_done() {
        let w = parse(
            "//@ chain top > (a > b)*2 > c\nx //@ fn a\ny //@ fn b leaf; in a>b\n//@ fn c leaf at=[eval]:4",
        )
        .unwrap();
        let labels: Vec<Vec<String>> =
            w.possible().map(|chain| chain.iter().map(|&i| w.functions[i].key.clone()).collect()).collect();
        assert_eq!(
            labels,
            [&["top", "a", "b"][..], &["top", "a", "b", "a", "b"], &["top", "a", "b", "a", "b", "c"]]
        );
        assert_eq!(w.label(0), "a:/w.js:2");
        assert_eq!((w.functions[0].lines.clone(), w.label(2)), (vec![(3, Some(1))], "c:[eval]:4".into()));
    }

    #[test]
    fn a_name_may_depend_on_the_version() {
        let text = "//@ chain f\n//@ fn f leaf name=\"get f\" name@..21=old name@22..=new";
        assert_eq!(parse(text).unwrap().functions[0].name, "new");
    }

    #[test]
    fn every_line_terminator_of_javascript_ends_a_line() {
        let text = "a\r\nb\rc\u{2028}d\u{2029}e\n\nf";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "", "f"]);
    }

    #[test]
    fn a_mistaken_statement_is_an_error_with_its_line() {
        for text in ["//@ fn f\n//@ chain f", "//@ fn f leaf\n//@ chain g", "//@ fn f\n//@ whatever"] {
            assert!(parse(text).unwrap_err().starts_with("w.js:2: "), "{text}");
        }
    }
}
