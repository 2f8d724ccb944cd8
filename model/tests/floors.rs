//! The guide's table of floors is the one that bounds are refused by.

use ktstr_model::floor::{ClockOfMachine, Measure};
use ktstr_model::{Backend, Bound, Clock, Nanos};

const HEAD: &str = "| clock | CPUs up to | latency p50 | p99 | p999, max | `max_gap`, `work_conserving` | `max_spread`, `weight_share` |";

/// What the cells behind the first two are the floors of.
const COLUMNS: [&[Measure]; 5] = [
    &[Measure::LatencyP50],
    &[Measure::LatencyP99],
    &[Measure::LatencyP999, Measure::LatencyMax],
    &[Measure::Gap, Measure::Idle],
    &[Measure::Spread, Measure::Share],
];

/// More than the largest machine of the table has.
const CPUS_MAX: u32 = 300;

struct Row {
    clock: String,
    /// None: any number.
    cpus: Option<u32>,
    floors: Vec<String>,
}

fn guide() -> String {
    // Bazel runs tests in the root of the repository, cargo in the directory of the crate.
    let paths = ["docs/guide/clocks.md", "../docs/guide/clocks.md"];
    paths.iter().find_map(|path| std::fs::read_to_string(path).ok()).expect("the guide")
}

fn rows(guide: &str) -> Vec<Row> {
    let table = guide.lines().skip_while(|line| *line != HEAD).skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 2 + COLUMNS.len(), "{line}");
        let cpus = (cells[1] != "any").then(|| cells[1].parse().expect("a number"));
        Row { clock: cells[0].into(), cpus, floors: cells[2..].iter().map(|cell| (*cell).to_owned()).collect() }
    };
    table.map(row).collect()
}

/// As a cell of the table: a floor that is none is empty.
fn cell(machine: ClockOfMachine, of: Measure) -> String {
    let floor = machine.floor(of).map(|floor| floor.to_string());
    floor.filter(|floor| floor != "0").unwrap_or_default()
}

/// By the rule that stands above the table: a machine has the floors of the next larger row, or those of the last.
#[test]
fn the_guide_has_the_floors_of_every_machine() {
    let rows = rows(&guide());
    let clocks = [
        ("virtual", Backend::Tcg, Clock::Virtual),
        ("real, emulator", Backend::Tcg, Clock::Real),
        ("real, KVM", Backend::Kvm, Clock::Real),
    ];
    assert!(rows.iter().all(|row| clocks.iter().any(|(name, ..)| *name == row.clock)), "a row of another clock");
    for (name, backend, clock) in clocks {
        let of_clock: Vec<&Row> = rows.iter().filter(|row| row.clock == name).collect();
        for cpus in 1..=CPUS_MAX {
            let row = of_clock.iter().find(|row| row.cpus.is_none_or(|most| cpus <= most)).or(of_clock.last());
            let row = row.expect("rows of each clock");
            for (in_guide, measures) in row.floors.iter().zip(COLUMNS) {
                for of in measures {
                    let seen = cell(ClockOfMachine { backend, clock, cpus }, *of);
                    assert_eq!(*in_guide, seen, "{} in the guide and in model, {name}, {cpus} CPUs", of.field());
                }
            }
        }
    }
}

#[test]
fn the_guide_shows_the_refusal_that_is_printed() {
    let machine = ClockOfMachine { backend: Backend::Tcg, clock: Clock::Virtual, cpus: 16 };
    let below = machine.cannot_tell(&Bound::MaxGap(Nanos(10_000_000)));
    let refusal = below.first().expect("below the floor").to_string();
    assert!(guide().contains(&refusal), "{refusal}");
}
