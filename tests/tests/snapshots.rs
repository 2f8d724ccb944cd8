//! Cases that start from a snapshot.

use ktstr_tests::{assert_equal, Bare, Said, Target};
use ktstr_vmm::SavedMachine;
use std::path::PathBuf;

#[test]
fn a_case_does_not_see_what_another_one_left() {
    let name = "litters[1n1l2c1t][s1]";
    let alone = Target::new("litters").arg(&format!("--filter={name}")).run();
    alone.expect(0, &["1 passed, 0 failed"]);
    let both = Target::new("litters").run();
    both.expect(0, &["2 passed, 0 failed"]);
    let mut recordings = both.recordings();
    recordings.retain(|case, _| case == name);
    assert_equal(&alone.recordings(), &recordings);
}

#[test]
fn the_report_says_where_a_case_started() {
    let start = |target: &str| {
        let ran = Target::new(target).run();
        ran.expect(0, &["1 passed, 0 failed"]);
        let report = ran.report();
        report["cases"][0]["start"].as_str().map(str::to_owned)
    };
    assert_eq!(start("plain").as_deref(), Some("snapshot"));
    assert_eq!(start("boots").as_deref(), Some("boot"));
    assert_eq!(start("real_clock").as_deref(), Some("snapshot"));
}

/// Runs `plain` from the snapshot that is in `out/snapshots` or is made.
fn run(bare: &Bare) -> Said {
    bare.run("plain", &[])
}

fn snapshots(bare: &Bare) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bare.path("out/snapshots")).expect("is there");
    entries.map(|entry| entry.expect("reads").path()).collect()
}

#[test]
fn without_bazel_a_snapshot_is_made_once_and_looked_at_before_each_use() {
    let bare = Bare::of("boots");
    run(&bare).expect(0, &["PASS"]);
    let [snapshot] = &snapshots(&bare)[..] else { panic!("{:?}", snapshots(&bare)) };
    let made = std::fs::metadata(snapshot).expect("is there").modified().expect("has a time");
    run(&bare).expect(0, &["PASS"]);
    assert_eq!(std::fs::metadata(snapshot).expect("is there").modified().expect("has a time"), made);

    let whole = std::fs::read(snapshot).expect("reads");
    std::fs::write(snapshot, &whole[..whole.len() / 2]).expect("writes");
    let texts = [
        "INFRA",
        "cannot expand the snapshot ",
        "is not a saved machine that this program can use",
        "make the save again",
    ];
    run(&bare).expect(3, &texts);
}

const PAGE_BYTES: usize = 4096;
/// Of some 20,000 pages. A tick that falls before or behind the save decides a dozen of them (decision 9).
const PAGES_MAX: usize = 64;

#[test]
fn two_snapshots_of_one_machine_differ_in_a_tick_at_most() {
    let made = [Bare::of("boots"), Bare::of("boots")].map(|bare| {
        run(&bare).expect(0, &["PASS"]);
        let [snapshot] = &snapshots(&bare)[..] else { panic!("{:?}", snapshots(&bare)) };
        let directory = bare.path("unpacked");
        SavedMachine::unpack(snapshot, &directory).expect("unpacks");
        let ram = std::fs::read(directory.join("ram0")).expect("reads");
        (snapshot.file_name().expect("has a name").to_owned(), ram)
    });
    let [(name, ram), (other_name, other_ram)] = made;
    assert_eq!(name, other_name, "the same key");
    let pages = ram.chunks(PAGE_BYTES).zip(other_ram.chunks(PAGE_BYTES));
    let (used, differ) = pages.fold((0, 0), |(used, differ), (page, other)| {
        (used + usize::from(page.iter().any(|byte| *byte != 0)), differ + usize::from(page != other))
    });
    println!("{differ} of {used} pages differ");
    assert!(ram.len() == other_ram.len() && used > 10_000 && differ <= PAGES_MAX, "{differ} of {used} pages differ");
}
