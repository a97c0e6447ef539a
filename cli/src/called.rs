//! What a process is called: by its title, its program, or the script that Node runs.
//!
//! A command line holds secrets too. Of Node alone it is known which of its words is the script; of any other program,
//! a single executable application among them, nothing but its name is told.

/// Options of all versions of Node whose value is the next argument, which is no script, without two dashes.
const WITH_VALUE: &str = "\
    -C -r allow-fs-read allow-fs-write bench-isolation bench-name-pattern bench-reporter \
    bench-reporter-destination bench-samples bench-warmup build-sea build-snapshot-config conditions \
    cpu-prof-dir cpu-prof-interval cpu-prof-name debug-port diagnostic-dir diagnostic-report-directory \
    diagnostic-report-filename diagnostic-report-signal disable-proto disable-warning dns-result-order \
    env-file env-file-if-exists es-module-specifier-resolution experimental-config-file \
    experimental-default-type experimental-loader experimental-package-map experimental-policy \
    experimental-sea-config experimental-specifier-resolution experimental-test-isolation \
    experimental-test-tag-filter heap-prof-dir heap-prof-interval heap-prof-name \
    heapsnapshot-near-heap-limit heapsnapshot-signal http-parser http-server-default-timeout \
    icu-data-dir import input-type inspect-port inspect-publish-uid loader localstorage-file \
    max-http-header-size max-old-space-size-percentage network-family-autoselection-attempt-timeout \
    openssl-config policy-integrity redirect-warnings report-dir report-directory report-filename \
    report-signal require secure-heap secure-heap-min security-revert security-reverts snapshot-blob \
    stack-trace-limit test-concurrency test-coverage-branches test-coverage-exclude \
    test-coverage-functions test-coverage-include test-coverage-lines test-global-setup test-isolation \
    test-name-pattern test-random-seed test-reporter test-reporter-destination test-rerun-failures \
    test-shard test-skip-pattern test-timeout title tls-cipher-list tls-keylog trace-event-categories \
    trace-event-file-pattern trace-require-module unhandled-rejections use-largepages v8-pool-size \
    vfs-load vfs-mount watch-kill-signal watch-path";

/// A program's name, without its folders and what the kernel says of it.
fn base(path: &str) -> &str {
    path.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default()
}

/// Whether a program is called as Node is: `nodejs`, and `node22` or `node-v22.1`, too.
pub fn is_node(path: &str) -> bool {
    let versioned = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | 'v');
    matches!(base(path).trim_end_matches(versioned), "node" | "nodejs")
}

/// Names of the executable and of the script.
pub fn program(arguments: &str, exe: &str) -> String {
    match script(arguments.split('\0').skip(1), exe) {
        Some(script) => format!("{} {script}", base(exe)),
        None => base(exe).to_owned(),
    }
}

/// What a process calls itself (`process.title`), or its script, from its arguments. A title has taken the
/// place of the executable's name, and of all arguments that it is longer than.
pub fn title_or_script(arguments: &str, exe: &str) -> String {
    let mut words = arguments.split('\0');
    let first = words.next().unwrap_or_default();
    // The executable of another user is not told.
    let exe = if exe.is_empty() { first } else { exe };
    // A title that is a path to a program is none.
    let is_plain = first.is_empty()
        || is_node(first)
        || base(first) == base(exe)
        || ["/", "./", "../"].iter().any(|start| first.starts_with(start)) && !first.contains(' ');
    let name = match script(words, exe) {
        Some(script) if is_plain => script,
        None if is_plain => base(if first.is_empty() { exe } else { first }),
        _ => first,
    };
    name.to_owned()
}

/// The first argument that belongs to no option, if the program is Node.
fn script<'a>(mut arguments: impl Iterator<Item = &'a str>, exe: &str) -> Option<&'a str> {
    while let Some(argument) = arguments.next().filter(|_| is_node(exe)) {
        let (option, has_value) =
            argument.split_once('=').map_or((argument, false), |(option, _)| (option, true));
        match option {
            // Standard input is the script, or a person; `--run=` starts one of a package.
            "" | "-" => return None,
            "--run" if has_value => return None,
            "-e" | "--eval" | "-p" | "--print" | "-pe" => return Some("[eval]"),
            "--" => return arguments.next().filter(|script| !matches!(*script, "" | "-")),
            option if !option.starts_with('-') => return Some(argument),
            option => {
                let name = option.strip_prefix("--").unwrap_or(option);
                // Node takes `_` for `-`.
                let name = || name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
                if !has_value && WITH_VALUE.split(' ').any(|known| known.bytes().eq(name())) {
                    arguments.next();
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_name_whatever_its_version_and_after_an_upgrade() {
        for path in
            ["node", "/usr/bin/nodejs", "/usr/bin/node (deleted)", "node22", "/opt/node-v22.1 (deleted)"]
        {
            assert!(is_node(path), "{path}");
        }
        for path in ["", "/srv/node/server", "nodemon", "/usr/bin/dash", "/opt/my-node"] {
            assert!(!is_node(path), "{path}");
        }
    }

    #[test]
    fn the_script_is_told_from_options_and_their_values() {
        let of = |line: &'static str| script(line.split(' '), "/usr/bin/node");
        assert_eq!(of("--inspect -r ./hook.js app.js --password x"), Some("app.js"));
        assert_eq!(
            of("--watch-path src --trace_event_categories v8 --disable-warning=X app.js"),
            Some("app.js")
        );
        assert_eq!(of("-e secret"), Some("[eval]"));
        assert_eq!(of("--eval=1 secret"), Some("[eval]"));
        assert_eq!(of("--print=1 secret"), Some("[eval]"));
        assert_eq!(of("-- app.js"), Some("app.js"));
        assert_eq!(of("a=b.js secret"), Some("a=b.js"));
        assert_eq!(of("--run build secret"), Some("build"));
        for line in ["--max-old-space-size=100", "", "- secret", "-- - secret", "--run=build secret"] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn of_what_is_not_node_no_argument_is_told() {
        let of = |arguments: &str, exe| {
            let arguments = arguments.replace(' ', "\0");
            (program(&arguments, exe), title_or_script(&arguments, exe))
        };
        assert_eq!(of("sh -c node\u{a0}--key=secret", "/bin/dash"), ("dash".into(), "sh".into()));
        assert_eq!(of("./myapp --api-key secret", "/srv/myapp"), ("myapp".into(), "myapp".into()));
        assert_eq!(of("myapp secret", "/srv/myapp (deleted)"), ("myapp".into(), "myapp".into()));
        assert_eq!(of("node app.js", "/usr/bin/node (deleted)"), ("node app.js".into(), "app.js".into()));
    }

    #[test]
    fn a_title_is_told_from_an_executables_name() {
        let of = |arguments: &str| title_or_script(&arguments.replace(' ', "\0"), "/opt/node22/bin/node");
        assert_eq!(of("/usr/bin/node --inspect /srv/app.js x"), "/srv/app.js");
        assert_eq!(of("node18 --inspect /srv/app.js"), "/srv/app.js");
        assert_eq!(of("./node22.23.3 busy.js"), "busy.js");
        assert_eq!(of("./linked busy.js"), "busy.js");
        assert_eq!(of("node-v22"), "node-v22");
        assert_eq!(of("shop app.js"), "shop");
        assert_eq!(of("node"), "node");
        assert_eq!(of(""), "node");
        // Of another user.
        assert_eq!(title_or_script("node\0/srv/app.js\0", ""), "/srv/app.js");
        assert_eq!(title_or_script("npm run build\0\0\0", "/usr/bin/node"), "npm run build");
        assert_eq!(title_or_script("node /srv/app.js\0\0\0", "/usr/bin/node"), "node /srv/app.js");
    }
}
