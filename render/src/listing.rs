//! A list of processes, as a table for people or as JSON.

use crate::json;
use crate::label::escape;
use std::io::{self, Write};

/// A process with V8 in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// Its id, as node-flame sees it.
    pub pid: u32,
    /// Its id inside of its container, if that is another one.
    pub inside: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// That user's name; empty if there is none.
    pub user: String,
    /// Node's version; empty if unknown.
    pub node: String,
    /// V8's version; empty if unknown.
    pub v8: String,
    /// Number of threads.
    pub threads: u32,
    /// CPU time used at this moment, in percent of one CPU.
    pub cpu_percent: f64,
    /// The same on the average since its start.
    pub average_percent: f64,
    /// Why it cannot be profiled; `None` if it can.
    pub refusal: Option<String>,
    /// Its title or script.
    pub command: String,
}

/// Titles, and whether a column holds numbers.
const COLUMNS: [(&str, bool); 9] = [
    ("PID", true),
    ("INSIDE", true),
    ("USER", false),
    ("NODE", false),
    ("THREADS", true),
    ("CPU %", true),
    ("AVG %", true),
    ("PROFILE", false),
    ("COMMAND", false),
];

/// Place of the column that stands only if some process has something in it.
const INSIDE: usize = 1;

/// Writes a table: a line of titles, then a line for each process.
///
/// # Errors
/// Those of `out`.
pub fn table(rows: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    let mut lines = vec![COLUMNS.map(|(title, _)| title.to_owned())];
    lines.extend(rows.iter().map(cells));
    let mut widths = COLUMNS.map(|_| 0);
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    // The last column ends where it ends.
    widths[COLUMNS.len() - 1] = 0;
    let is_inside = rows.iter().any(|row| row.inside.is_some());
    for line in &lines {
        for (at, (cell, width)) in
            line.iter().zip(widths).enumerate().filter(|(at, _)| is_inside || *at != INSIDE)
        {
            let gap = if at == 0 { "" } else { "  " };
            match COLUMNS[at].1 {
                true => write!(out, "{gap}{cell:>width$}")?,
                false => write!(out, "{gap}{cell:width$}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn cells(row: &Listed) -> [String; 9] {
    let text = |text: &str| {
        let mut escaped = String::new();
        escape(text, &mut escaped);
        escaped
    };
    let mut command = text(&row.command);
    if let Some(refusal) = &row.refusal {
        command.push_str("  [");
        escape(refusal, &mut command);
        command.push(']');
    }
    let node = match (row.node.as_str(), row.v8.as_str()) {
        ("", "") => "?".to_owned(),
        ("", v8) => format!("V8 {v8}"),
        (node, _) => text(node),
    };
    [
        row.pid.to_string(),
        row.inside.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        if row.user.is_empty() { row.uid.to_string() } else { text(&row.user) },
        node,
        row.threads.to_string(),
        format!("{:.1}", row.cpu_percent),
        format!("{:.1}", row.average_percent),
        (if row.refusal.is_some() { "no" } else { "yes" }).to_owned(),
        command,
    ]
}

/// Writes an array of objects, one a line.
///
/// # Errors
/// Those of `out`.
pub fn json(rows: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    let mut start = "[\n";
    for row in rows {
        write!(out, "{start}{{\"pid\":{},\"pidInside\":", row.pid)?;
        match row.inside {
            Some(pid) => write!(out, "{pid}")?,
            None => out.write_all(b"null")?,
        }
        write!(out, ",\"uid\":{}", row.uid)?;
        for (name, text) in [("user", &row.user), ("node", &row.node), ("v8", &row.v8)] {
            write!(out, ",\"{name}\":")?;
            json::string_or_null(out, text)?;
        }
        write!(
            out,
            ",\"threads\":{},\"cpuPercent\":{:.1},\"averagePercent\":{:.1},\"profilable\":{},\"reason\":",
            row.threads,
            row.cpu_percent,
            row.average_percent,
            row.refusal.is_none()
        )?;
        json::string_or_null(out, row.refusal.as_deref().unwrap_or_default())?;
        out.write_all(b",\"command\":")?;
        json::string(out, &row.command)?;
        out.write_all(b"}")?;
        start = ",\n";
    }
    out.write_all(if rows.is_empty() { b"[]\n" } else { b"\n]\n" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::written;

    fn rows() -> [Listed; 2] {
        let plain = Listed {
            pid: 7,
            user: "root".into(),
            node: "22.1.0".into(),
            v8: "12.4.254.14".into(),
            threads: 11,
            cpu_percent: 99.96,
            average_percent: 3.0,
            command: "/srv/app.js".into(),
            ..Listed::default()
        };
        let refused = Listed {
            pid: 12345,
            inside: Some(1),
            uid: 1000,
            user: String::new(),
            node: String::new(),
            v8: "6.2.414.78".into(),
            refusal: Some("it is already traced by gdb (9)".into()),
            command: "a\u{1b}[2Jb".into(),
            ..plain.clone()
        };
        [plain, refused]
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_nothing_acts_on_the_terminal() {
        let expected = "  \
  PID  INSIDE  USER  NODE           THREADS  CPU %  AVG %  PROFILE  COMMAND
    7       -  root  22.1.0              11  100.0    3.0  yes      /srv/app.js
12345       1  1000  V8 6.2.414.78       11  100.0    3.0  no       a\\x1b[2Jb  [it is already traced by gdb (9)]
";
        assert_eq!(written(|out| table(&rows(), out)), expected);
        let without = written(|out| table(&rows()[..1], out));
        assert!(without.starts_with("PID  USER  NODE"), "{without}");
    }

    #[test]
    fn json_says_what_is_unknown() {
        let text = written(|out| json(&rows(), out));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read[0]["node"], "22.1.0");
        assert_eq!(read[0]["profilable"], true);
        assert!(read[0]["pidInside"].is_null() && read[0]["reason"].is_null());
        assert_eq!((&read[1]["pidInside"], &read[1]["cpuPercent"]), (&1.into(), &100.0.into()));
        assert!(read[1]["user"].is_null() && read[1]["node"].is_null());
        assert_eq!(read[1]["command"], "a\u{1b}[2Jb");
        assert_eq!(written(|out| json(&[], out)), "[]\n");
    }
}
