//! The page as a file; what it shows is tested in a browser.

use super::collect;
use crate::fixture::Build;
use crate::testing::rendered;
use crate::{Format, View, sha256, write};
use flame_core::profile::{Activity, Kind};

fn page(build: Build) -> String {
    rendered(&build.finish(), |profile, out| write(Format::Flame, profile, &View::default(), out))
}

#[test]
fn the_policy_names_the_only_script_that_runs_and_the_style() {
    let page = page(Build::default());
    let between =
        |from: &str, to: &str| page.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap();
    let script = between("<script>", "</script>");
    let style = between("<style>", "</style>");
    assert!(page.contains(&format!("script-src 'sha256-{}'", sha256::base64(script.as_bytes()))));
    assert!(page.contains(&format!("style-src 'sha256-{}'", sha256::base64(style.as_bytes()))));
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let page = page(Build::default());
    let addresses = page.match_indices("http").map(|(at, _)| &page[at..page.len().min(at + 26)]);
    let addresses: Vec<_> =
        addresses.filter(|text| text.starts_with("http://") || text.starts_with("https://")).collect();
    assert_eq!(addresses, ["http://www.w3.org/2000/svg"], "only the name of SVG's namespace");
}

#[test]
fn a_hostile_name_never_becomes_markup() {
    let mut build = Build::default();
    build.meta.command = "</title><script>1</script>".into();
    build.receipt.remarks = vec!["</script><img src=x>".into()];
    for name in ["</script><img src=x>", "<!--<script>", "{{META}}", "\u{2028}"] {
        let frame = build.frame(Kind::Optimized, name, name);
        build.stack(&[frame]);
    }
    let worker = build.thread(7, "</script><img src=x>");
    build.stack_of(worker, Activity::Native, &[]);
    let page = page(build);
    assert!(!page.contains("<img") && !page.contains("<!--") && !page.contains('\u{2028}'));
    assert_eq!(page.matches("</script>").count(), page.matches("<script").count());
    assert!(page.contains("{{META}}"), "a name is not a place of the template");
}

#[test]
fn what_the_page_says_of_the_run_is_escaped_as_labels_are() {
    let mut build = Build::default();
    build.meta.command = "node \u{1b}[2J\u{202e}.js".into();
    build.meta.host = "h\u{7}".into();
    build.receipt.remarks = vec!["r\u{1b}".into()];
    let worker = build.thread(7, "w\u{202e}");
    build.stack_of(worker, Activity::Native, &[]);
    let page = page(build);
    // A backslash takes two in JSON.
    for expected in [r"node \\x1b[2J\\u202e.js", r"h\\x07", r"r\\x1b", r"w\\u202e"] {
        assert!(page.contains(expected), "no {expected}");
    }
    assert!(page.contains(r"<title>node \x1b[2J\u202e.js"));
    assert!(!page.contains(r"\u001b") && !page.contains('\u{202e}'));
}

#[test]
fn a_frame_that_is_in_no_stack_is_not_listed() {
    let mut build = Build::default();
    let main = build.frame(Kind::Optimized, "main", "/a.js");
    build.stack(&[main]);
    let (data, ..) = collect(&build.finish(), &View::default());
    assert_eq!((data.frames.len(), data.functions.len()), (1, 1), "what stands for cut frames is not there");
}

#[test]
fn a_page_is_not_much_larger_than_its_folded_text() {
    let mut build = Build::default();
    let frames: Vec<_> = (0..400)
        .map(|number| build.frame(Kind::Optimized, &format!("function{number}"), "/srv/app/lib/module.js"))
        .collect();
    for number in 0..4000usize {
        let stack: Vec<_> = (0..25).map(|depth| frames[number * (depth + 1) % (400 - depth)]).collect();
        build.stack(&stack);
    }
    let profile = build.finish();
    let length =
        |format| rendered(&profile, |profile, out| write(format, profile, &View::default(), out)).len();
    assert!(length(Format::Flame) < length(Format::Folded) / 4 + 130_000);
}
