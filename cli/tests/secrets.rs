//! What a target was given on its command line, in its environment and as arguments of its functions is published only
//! where that is asked for.

mod common;

use common::{NODE_FLAME, Scratch, Target, need, node_flame};
use std::process::{Command, Output, Stdio};

/// Of each the second half is looked for too, as a page's texts are put together from pieces.
const SECRETS: [&str; 3] = ["vq7x-environment-8ktz", "wj3p-option-5mhd", "ub9c-argument-2fsy"];

const PROGRAM: &str = "
    const [,, , password] = process.argv;
    function queryLogin(password) { const until = Date.now() + 5; while (Date.now() < until); return password.length; }
    process.stdin.on('data', (data) => process.stdout.write(data)).on('end', () => process.exit(0));
    setInterval(() => queryLogin('ub9c-argument-2fsy'), 6);
    console.log('ready', process.env.SECRET.length, password.length);";

/// Which of them stand in a text.
fn told(text: &[u8]) -> Vec<&'static str> {
    let holds = |part: &str| text.windows(part.len()).any(|bytes| bytes == part.as_bytes());
    SECRETS.into_iter().filter(|secret| holds(secret) || holds(&secret[secret.len() / 2..])).collect()
}

fn run(line: &str) -> Output {
    let output =
        Command::new(NODE_FLAME).args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output
}

#[test]
fn no_secret_of_a_target_is_published_unless_asked_for() {
    need("gzip");
    let scratch = Scratch::new("secrets");
    let script = scratch.file("app.js", PROGRAM);
    let mut command = Command::new("node");
    // A function that is inlined has no arguments to be shown.
    command.args(["--no-opt", &script, "--password", SECRETS[1]]).env("SECRET", SECRETS[0]);
    let mut target = Target::start(&mut command);
    assert_eq!(target.line(), "ready 21 16");
    let pid = target.pid();
    let mut published = 0;
    for format in ["text", "flame", "raw", "fullraw", "folded", "cpuprofile", "speedscope", "pprof"] {
        for options in ["", "--wall --threads", "--children", "--lines"] {
            let mut output = run(&format!("{pid} {format} 0.25 {options}"));
            if format == "pprof" {
                let packed = scratch.path("profile.gz");
                std::fs::write(&packed, &output.stdout).unwrap();
                output.stdout = Command::new("gzip").arg("-dc").arg(packed).output().unwrap().stdout;
            }
            let has_login = output.stdout.windows(10).any(|bytes| bytes == b"queryLogin");
            assert!(has_login, "{format} {options}: {}", String::from_utf8_lossy(&output.stderr));
            let both = [output.stdout, output.stderr].concat();
            assert_eq!(told(&both), [""; 0], "{format} {options}");
            published += 1;
        }
    }
    for line in ["ps", "ps --json", &format!("{pid} dump"), &format!("{pid} dump --json")] {
        let output = run(line);
        assert_eq!(told(&[output.stdout, output.stderr].concat()), [""; 0], "{line}");
        published += 1;
    }
    let top = Command::new("timeout")
        .args(["-s", "INT", "3", NODE_FLAME, &pid.to_string(), "top"])
        .output()
        .unwrap();
    assert!(top.stdout.windows(10).any(|bytes| bytes == b"queryLogin"), "{top:?}");
    assert_eq!(told(&[top.stdout, top.stderr].concat()), [""; 0]);
    assert_eq!(published, 36);

    // Its thread is not always in that function.
    let asked = (0..50).map(|_| run(&format!("{pid} dump --args"))).map(|output| told(&output.stdout));
    assert!(
        asked.flatten().any(|secret| secret == SECRETS[2]),
        "arguments are shown where they are asked for"
    );
    // The lines of a program are in the page if they are asked for, and with them what is written there.
    let page = node_flame(&format!("{pid} flame 1 --source"));
    assert_eq!((page.code, told(page.stdout.as_bytes())), (Some(0), vec![SECRETS[2]]));
    target.assert_unharmed();
}

#[test]
fn of_a_command_line_of_any_form_nothing_but_the_script_is_published() {
    const BURN: &str = "
        const parent = process.ppid;
        function burn() { const until = Date.now() + 5; while (Date.now() < until); }
        setInterval(() => { if (process.ppid !== parent) process.exit(); burn(); }, 6);
        console.log('ready');";
    let scratch = Scratch::new("lines");
    let script = scratch.file("app.js", BURN);
    let eval = format!("--eval={BURN}");
    let shell = format!("TOKEN={} node \"$0\" --password {}; true", SECRETS[0], SECRETS[1]);
    let lines: [&[&str]; 4] = [
        &["sh", "-c", &shell, &script],
        &["sh", "-c", "exec node - \"$1\" < \"$0\"", &script, SECRETS[1]],
        &["node", &eval, SECRETS[1]],
        &["node", "--diagnostic-dir", SECRETS[1], &script],
    ];
    for line in lines {
        let mut target = Target::start(Command::new(line[0]).args(&line[1..]));
        assert_eq!(target.line(), "ready");
        let profile = |format: &str| format!("{} {format} 0.4 --children", target.pid());
        for words in [profile("flame"), profile("raw"), profile("speedscope"), "ps".into()] {
            let output = run(&words);
            assert_eq!(told(&[output.stdout, output.stderr].concat()), [""; 0], "{line:?}: {words}");
        }
    }
}
