//! `report.html` in a real browser, opened from a file: what a person sees, and that it needs nothing else. The pictures are outputs of the test.

use ktstr_testing::history::history;
use ktstr_testing::Sampled;
use ktstr_tests::{argument, said, Browser};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>";
/// A red case with all that samples can have, and a green one with context switches.
const CASES: [Sampled<'_>; 2] = [
    Sampled {
        topology: "2n4l2c1t",
        ms: 2_000,
        comm: HOSTILE,
        traced: false,
        history: "a/1 it=0 cpu=0ms delay=2000ms gap=900ms\nfreeze a\nstep\nhold 500ms",
    },
    Sampled { topology: "1n2l2c1t", ms: 1_000, comm: "kworker/0:1", traced: true, history: "" },
];

/// A page of these recordings, as `ktstr report` makes it.
fn page(recordings: &[Vec<u8>]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("report.html");
    let file = |(index, bytes): (usize, &Vec<u8>)| {
        let file = directory.path().join(format!("{index}.ktstr"));
        std::fs::write(&file, bytes).expect("writes");
        file.display().to_string()
    };
    let files: Vec<String> = recordings.iter().enumerate().map(file).collect();
    let program = std::env::var_os("KTSTR_PROGRAM").expect("KTSTR_PROGRAM names ktstr");
    let arguments =
        [&["report", "--html", argument(&page)], &files.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    let made = said(Path::new(&program), &arguments);
    assert!(page.exists(), "{made:?}");
    (directory, page)
}

fn open(browser: &mut Browser, page: &Path, place: &str) {
    browser.open(&format!("file://{}{place}", page.display()));
}

/// Nothing went wrong, and nothing but the page itself was asked for.
fn assert_clean(browser: &mut Browser, page: &Path) {
    assert_eq!(browser.problems(), Vec::<String>::new());
    let others: Vec<String> = browser
        .requests()
        .into_iter()
        .filter(|address| !address.starts_with(&format!("file://{}", page.display())))
        .collect();
    assert_eq!(others, Vec::<String>::new());
}

fn outputs() -> PathBuf {
    std::env::var_os("TEST_UNDECLARED_OUTPUTS_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// A place on a canvas, in parts of its width and in pixels from its top.
fn place(browser: &mut Browser, selector: &str, part: f64, down: f64) -> (f64, f64) {
    let area = browser.value(&format!("document.querySelector({selector:?}).getBoundingClientRect().toJSON()"));
    let number = |name: &str| area[name].as_f64().expect("a number");
    (number("left") + number("width") * part, number("top") + down)
}

fn text(browser: &mut Browser, selector: &str) -> String {
    browser.texts(selector).join("|")
}

#[test]
fn cases_findings_and_lanes_are_there() {
    let plain = history("1n1l2c1t", "a: cpu_spin x1\nhold 1s");
    let (_directory, page) = page(&[CASES[0].write(), CASES[1].write(), plain.write()]);
    let mut browser = Browser::start();
    browser.look(1280, 900, "light");
    open(&mut browser, &page, "");
    assert_eq!(browser.texts(".cell"), ["s0 fail", "s0 pass", "s0 unknown"]);
    // The first red case is open.
    assert_eq!(text(&mut browser, "h2"), "history[2n4l2c1t][s0]");
    assert_eq!(browser.texts(".cpu"), ["CPU 0", "CPU 1", "CPU 2", "CPU 3", "CPU 4", "CPU 5", "CPU 6", "CPU 7"]);
    assert_eq!(browser.texts(".group"), ["node 0 · LLC 0", "node 0 · LLC 1", "node 1 · LLC 2", "node 1 · LLC 3"]);
    assert!(text(&mut browser, ".seen").starts_with("sampled: "));
    assert_eq!(browser.texts(".chart b").len(), 9);
    let findings = text(&mut browser, ".findings");
    assert!(findings.contains("not_starved: ") && findings.contains("worker cpu_spin/1, cgroup a, "), "{findings}");
    // What is painted has many colours.
    let colours = "(canvas => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)\
                   (document.querySelector('.lanes canvas'))";
    assert!(browser.value(colours).as_u64() > Some(10));
    assert_clean(&mut browser, &page);
    open(&mut browser, &page, "#case-1");
    assert_eq!((text(&mut browser, ".seen"), browser.texts(".cpu").len()), ("every context switch".into(), 4));
    open(&mut browser, &page, "#case-2");
    assert!(text(&mut browser, ".notes").contains("no samples: the case asks for none"));
    assert_eq!(browser.texts(".cpu").len(), 0);
    assert_clean(&mut browser, &page);
}

#[test]
fn findings_lead_to_their_time_and_names_stay_text() {
    let (_directory, page) = page(&[CASES[0].write()]);
    let mut browser = Browser::start();
    browser.look(1280, 2000, "light");
    open(&mut browser, &page, "");
    let all = text(&mut browser, ".span");
    let (x, y) = place(&mut browser, ".findings a", 0.1, 5.0);
    browser.mouse("mousePressed", x, y);
    browser.mouse("mouseReleased", x, y);
    let near = text(&mut browser, ".span");
    assert_ne!(near, all);
    assert_eq!(browser.value("location.hash"), Value::from("#case-0/finding-0"));
    assert_eq!(browser.value("document.querySelectorAll('.findings .chosen').length"), Value::from(1));
    // Under the mouse: the task, its pid, since when and for how long.
    browser.key("0");
    let (x, y) = place(&mut browser, ".lanes canvas", 0.5, 28.0);
    browser.mouse("mouseMoved", x, y);
    let tip = text(&mut browser, ".tip");
    assert!(tip.starts_with("CPU 0 at ") && tip.contains(" s to ") && tip.ends_with(" tasks wait"), "{tip}");
    let tips: Vec<String> = (0..40)
        .map(|step| {
            let (x, y) = place(&mut browser, ".lanes canvas", 0.3 + f64::from(step) / 200.0, 28.0);
            browser.mouse("mouseMoved", x, y);
            text(&mut browser, ".tip")
        })
        .collect();
    assert!(tips.iter().any(|tip| tip.contains(&format!("\n{HOSTILE}, pid 100\n"))), "{tips:?}");
    assert!(tips.iter().any(|tip| tip.contains("\ncpu_spin/0, pid 1000\n")), "{tips:?}");
    assert_eq!(browser.value("document.images.length"), Value::from(0));
    assert_clean(&mut browser, &page);
}

#[test]
fn keys_wheel_and_mouse_move_through_time() {
    let (_directory, page) = page(&[CASES[0].write()]);
    let mut browser = Browser::start();
    browser.look(1280, 2000, "light");
    open(&mut browser, &page, "");
    let (x, y) = place(&mut browser, ".lanes canvas", 0.5, 28.0);
    browser.value("document.querySelector('.plot').focus()");
    let mut spans = vec![text(&mut browser, ".span")];
    let mut differs = |browser: &mut Browser, what: &str| {
        let span = text(browser, ".span");
        assert!(!spans.contains(&span), "{what} changes nothing: {spans:?}");
        spans.push(span);
    };
    for key in ["+", "ArrowRight", "+", "ArrowLeft"] {
        browser.key(key);
        differs(&mut browser, key);
    }
    browser.ctrl_wheel(x, y, -100.0);
    differs(&mut browser, "the wheel");
    browser.mouse("mousePressed", x, y);
    browser.mouse("mouseMoved", x + 100.0, y);
    browser.mouse("mouseReleased", x + 100.0, y);
    differs(&mut browser, "dragging");
    browser.key("0");
    assert_eq!(text(&mut browser, ".span"), spans[0]);
    assert_clean(&mut browser, &page);
}

#[test]
fn it_fits_windows_in_light_and_dark() {
    let large = Sampled { topology: "2n16l8c2t", ms: 1_000, comm: "kworker", traced: false, history: "" };
    let (_directory, page) = page(&[CASES[0].write(), large.write(), CASES[1].write()]);
    let mut browser = Browser::start();
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (1920, "light"), (1920, "dark")] {
        browser.look(width, 900, scheme);
        for case in 0..3 {
            open(&mut browser, &page, &format!("#case-{case}"));
            assert_eq!(
                browser.value("document.documentElement.scrollWidth <= innerWidth"),
                Value::from(true),
                "{width}, case {case}"
            );
            browser.picture(&outputs().join(format!("case-{case}-{width}-{scheme}.png")));
            assert_clean(&mut browser, &page);
        }
    }
}

#[test]
fn a_page_of_the_largest_case_opens() {
    let largest = Sampled { topology: "1n16l32c1t", ms: 20_000, comm: "kworker", traced: false, history: "" };
    let (_directory, page) = page(&[largest.write()]);
    let mut browser = Browser::start();
    browser.look(1280, 900, "light");
    let begun = std::time::Instant::now();
    open(&mut browser, &page, "");
    assert_eq!(browser.texts(".cpu").len(), 512);
    println!("{} bytes, open after {:?}", std::fs::metadata(&page).expect("a page").len(), begun.elapsed());
    assert!(text(&mut browser, ".notes").contains("thinned out: "));
    assert_clean(&mut browser, &page);
}
