//! Samples wanted, taken, idle and lost.

use crate::stage::{Target, Tracer, counter};

#[test]
fn a_busy_thread_is_sampled_at_the_rate_asked_for() {
    let target = Target::start(&["spin"]);
    let report = Tracer::start(target.pid(), 200, 2000, &[]).report();
    report.adds_up();
    assert_eq!(report.text("end"), "Time");
    assert!((360..=440).contains(&report.number("wanted")), "{report:?}");
    assert!(report.number("taken") > 50, "{report:?}");
    // Where it was not sampled, others had the CPU.
    let seen = report.number("taken") + report.number("starved");
    assert!(seen * 10 >= report.number("wanted") * 9, "{report:?}");
    target.is_unharmed();
}

#[test]
fn a_sleeping_process_is_never_stopped() {
    let target = Target::start(&["sleep"]);
    let report = Tracer::start(target.pid(), 1000, 1000, &[]).report();
    report.adds_up();
    // It wakes twice a second for some microseconds, and waits for a CPU before that.
    assert!(report.number("visits") <= 10, "{report:?}");
    assert!(report.number("idle") * 100 >= report.number("wanted") * 95, "{report:?}");
}

#[test]
fn waiting_threads_are_visited_without_a_stop_if_wanted() {
    let mut target = Target::start(&["calls"]);
    let report = Tracer::start(target.pid(), 100, 1000, &["wall"]).report();
    report.adds_up();
    // Eleven that wait, and the first thread, which joins them.
    assert_eq!(report.number("threads"), 12);
    assert!((1000..=1400).contains(&report.number("wanted")), "{report:?}");
    // Where a thread was not sampled, it had woken and waited for a CPU.
    let seen = report.number("taken") + report.number("starved") + report.number("disturbed");
    assert!(seen * 10 >= report.number("wanted") * 9, "{report:?}");
    assert!(report.number("asleep") * 2 > report.number("wanted"), "{report:?}");
    assert!(target.get(counter::BROKEN_OFF) <= report.number("disturbed") + 1, "{report:?}");
    assert_eq!(target.stop().code(), Some(47));
}

#[test]
fn more_busy_threads_than_processors_are_all_sampled() {
    let target = Target::start(&["spin", "31"]);
    let report = Tracer::start(target.pid(), 500, 2000, &[]).report();
    report.adds_up();
    assert_eq!(report.number("threads"), 32);
    // What is lost was lost by a machine that is busy with something else, too.
    assert!(report.number("taken") > 32 * 5, "{report:?}");
    assert!(report.number("lost") * 2 < report.number("wanted"), "{report:?}");
    target.is_unharmed();
}

#[test]
fn a_thread_is_held_no_longer_than_its_share() {
    let target = Target::start(&["spin"]);
    // 3 ms a stop, 100 times a second, would be 30 %.
    let report = Tracer::start(target.pid(), 100, 3000, &["linger"]).report();
    report.adds_up();
    let share = report.number("held_ns") as f64 / report.number("length_ns") as f64;
    assert!(share < 0.06, "{share} {report:?}");
    assert!(report.number("throttled") > 20, "{report:?}");
    assert_eq!(report.number("throttled").min(report.number("lost")), report.number("throttled"));
    target.is_unharmed();
}

#[test]
fn what_is_not_read_within_20_ms_of_a_stop_is_cut_and_counted() {
    let target = Target::start(&["spin"]);
    let report = Tracer::start(target.pid(), 100, 4000, &["dwell"]).report();
    report.adds_up();
    assert!(report.number("visits") > 3, "{report:?}");
    assert_eq!(
        (report.number("cut"), report.number("late_reads")),
        (report.number("visits"), report.number("visits"))
    );
    target.is_unharmed();
}

#[test]
fn a_thread_that_is_not_wanted_is_let_go_at_once() {
    let target = Target::start(&["spin", "3"]);
    let report = Tracer::start(target.pid(), 200, 1000, &["unwanted"]).report();
    report.adds_up();
    assert_eq!((report.number("visits"), report.number("taken")), (4, 0), "{report:?}");
    target.is_unharmed();
}

#[test]
fn threads_that_come_and_go_by_the_hundred_are_followed() {
    let mut target = Target::start(&["churn"]);
    let report = Tracer::start(target.pid(), 1000, 2000, &[]).report();
    report.adds_up();
    assert_eq!(report.number("refusals"), 0, "{report:?}");
    assert!(report.number("started") > 20, "{report:?}");
    assert!(report.number("started") - report.number("ended") <= 12, "{report:?}");
    assert!(target.get(counter::DONE) > 100);
    assert_eq!(target.stop().code(), Some(43));
}

#[test]
fn processes_that_the_target_starts_can_be_taken_in() {
    let mut target = Target::start(&["brood"]);
    let report = Tracer::start(target.pid(), 200, 1500, &["family"]).report();
    report.adds_up();
    // The parent waits, and is sampled only if it is met while it starts one of them.
    assert!(matches!(report.number("processes"), 3 | 4), "{report:?}");
    assert!(report.number("taken") > 50, "{report:?}");
    assert_eq!(target.stop().code(), Some(48));
}

#[test]
fn a_command_of_ones_own_is_found_sampled_and_waited_for() {
    let target = Target::start(&["sleep"]);
    let report = Tracer::command(&target, 1000, 60_000).report();
    report.adds_up();
    assert_eq!(report.text("end"), "Target(Exit(Code(9)))");
    assert!(report.number("taken") > 50, "{report:?}");
    // Of the shell, and of one that the tracer reaped as a child of its own.
    assert_eq!((report.text("exit"), report.text("own")), ("Code(17)", "Code(9)"));
}

#[test]
fn nothing_is_allocated_from_a_tick_to_the_end_of_a_stop() {
    let target = Target::start(&["spin", "3"]);
    let report = Tracer::start(target.pid(), 1000, 3000, &[]).report();
    assert!(report.number("taken") > 150, "{report:?}");
    assert_eq!(report.number("allocated"), 0, "{report:?}");
}
