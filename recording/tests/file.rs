//! What goes into the file comes out again, up to wherever it is damaged.

use ktstr_model::sample::{CpuSample, SeriesValue};
use ktstr_model::{Event, GuestNanos, Sample, What};
use ktstr_recording::{CpuSteal, Ending, Entry, Header, HostEvent, HostNanos, Recording, WriteError, Writer};
use ktstr_testing::plain_case;
use proptest::prelude::*;
use std::path::Path;

fn header() -> Header {
    Header { made_by: "test".into(), case: plain_case() }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        (any::<u64>(), any::<u32>()).prop_map(|(at, segment)| {
            Entry::Guest(Event { at: GuestNanos(at), what: What::SegmentStarted { segment } })
        }),
        (any::<u64>(), "\\PC{0,40}")
            .prop_map(|(at, message)| { Entry::Host(HostNanos(at), HostEvent::Ended(Ending::Panic { message })) }),
        (any::<u32>(), any::<u64>()).prop_map(|(cpu, ns)| {
            let at = (ns % 2 == 0).then_some(GuestNanos(ns));
            let steal = CpuSteal { cpu, total_ns: ns, longest_ns: ns / 2, longest_at: at };
            Entry::Host(HostNanos(ns), HostEvent::Steal(vec![steal]))
        }),
        proptest::collection::vec(any::<u8>(), 1..40).prop_map(Entry::Console),
        (any::<u64>(), any::<u32>(), any::<i128>()).prop_map(|(at, cpu, value)| {
            let cpus = vec![CpuSample { cpu, clock: at, ..CpuSample::default() }];
            let sample = Sample { cpus, series: vec![SeriesValue::Number(value)], ..Sample::default() };
            Entry::Sample(GuestNanos(at), Box::new(sample))
        }),
    ]
}

/// Bytes of the end record.
const END_BYTES: usize = 9;

fn write(entries: &[Entry], finish: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Path::new("memory"), &header()).expect("written");
    for entry in entries {
        match entry {
            Entry::Guest(event) => writer.guest(event),
            Entry::Host(at, event) => writer.host(*at, event),
            Entry::Console(bytes) => writer.console(bytes),
            Entry::Sample(at, sample) => writer.sample(*at, sample),
        }
        .expect("written");
    }
    let mut bytes = writer.finish().expect("written");
    bytes.truncate(bytes.len() - if finish { 0 } else { END_BYTES });
    bytes
}

fn read(bytes: &[u8]) -> Result<Recording, String> {
    use std::error::Error;
    Recording::from_bytes(bytes, "x.ktstr")
        .map_err(|error| error.source().map_or(error.to_string(), |source| format!("{error}: {source}")))
}

proptest! {
    #[test]
    fn comes_out_as_it_went_in(entries in proptest::collection::vec(any_entry(), 0..10)) {
        let recording = read(&write(&entries, true)).expect("whole");
        prop_assert_eq!(recording.header, header());
        prop_assert_eq!(recording.entries, entries);
        prop_assert_eq!(recording.damage, None);
    }

    #[test]
    fn any_changed_byte_leaves_what_is_before(
        entries in proptest::collection::vec(any_entry(), 1..6),
        at: proptest::sample::Index,
        change in 1u8..,
    ) {
        let mut bytes = write(&entries, true);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(recording) = read(&bytes) {
            prop_assert!(entries.starts_with(&recording.entries));
            let damage = recording.damage.expect("seen");
            prop_assert!(damage.offset as usize <= at);
        }
    }

    #[test]
    fn anything_can_be_read(mut bytes: Vec<u8>) {
        let _ = read(&bytes);
        bytes.splice(0..0, write(&[], false));
        let _ = read(&bytes);
    }
}

fn some_entries() -> Vec<Entry> {
    let guest = |at, what| Entry::Guest(Event { at: GuestNanos(at), what });
    vec![
        Entry::Host(HostNanos(1), HostEvent::GuestStarted),
        guest(5, What::Ready),
        Entry::Console(b"hello\n".to_vec()),
        guest(9, What::Finished),
        Entry::Host(HostNanos(2), HostEvent::Ended(Ending::Guest { code: 16 })),
    ]
}

#[test]
fn cut_at_any_byte_it_yields_what_is_before() {
    let entries = some_entries();
    let bytes = write(&entries, true);
    let header_end = write(&[], false).len();
    for end in 0..bytes.len() {
        let recording = read(&bytes[..end]);
        assert_eq!(recording.is_ok(), end >= header_end, "cut at {end}");
        let Ok(recording) = recording else { continue };
        assert!(entries.starts_with(&recording.entries), "cut at {end}");
        assert!(recording.damage.is_some(), "cut at {end}");
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let header_end = write(&[], false).len();
    let damage = |bytes: &[u8]| {
        let text = read(bytes).expect("a header").damage.expect("damage").to_string();
        text.replace(&format!("byte {header_end}:"), "byte N:")
    };
    let whole = write(&some_entries()[1..2], true);
    assert_eq!(
        damage(&whole[..header_end]),
        "the recording is damaged at byte N: it ends there without an end record; whoever wrote it was stopped"
    );
    assert_eq!(
        damage(&whole[..header_end + 3]),
        "the recording is damaged at byte N: it ends within a record, of which 3 of 9 bytes are there; \
         whoever wrote it was stopped"
    );
    let mut changed = whole.clone();
    changed[header_end + 9] ^= 1;
    assert_eq!(damage(&changed), "the recording is damaged at byte N: its CRC is 0xefaef8ee instead of 0xf6b5c9af");
    changed[header_end + 3] = 0xff;
    assert_eq!(
        damage(&changed),
        "the recording is damaged at byte N: a record of 4278190082 bytes: at most 268435456 can be"
    );
    let longer = [&whole[..], b"more"].concat();
    assert!(damage(&longer).ends_with("4 bytes follow the end record"), "{}", damage(&longer));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let refusal = |bytes: &[u8]| read(bytes).expect_err("refused");
    assert_eq!(refusal(b"PK\x03\x04"), "x.ktstr is not a recording: it does not begin with `ktstrrec`");
    assert_eq!(refusal(b""), "x.ktstr is not a recording: it does not begin with `ktstrrec`");
    assert_eq!(
        refusal(b"ktstrrec\x07\0\0\0"),
        "x.ktstr is a recording of format 7, this ktstr reads format 1; use the ktstr that wrote it"
    );
    assert_eq!(
        refusal(b"ktstrrec\x01\0\0\0"),
        "x.ktstr says nothing: its header is damaged: the recording is damaged at byte 12: \
         it ends there without an end record; whoever wrote it was stopped"
    );
    let mut large = header();
    large.case.plan.groups = vec![ktstr_model::plan::GroupPlan {
        cgroup: 0,
        first_worker: 1,
        workers: u32::MAX,
        work: ktstr_model::work::Work::CpuSpin,
        affinity: Vec::new(),
        policy: ktstr_model::work::Policy::default(),
        nice: 0,
    }];
    let large = Writer::new(Vec::new(), Path::new("memory"), &large).expect("written").finish().expect("written");
    assert_eq!(
        refusal(&large),
        "x.ktstr says nothing: its header is damaged: the recording is damaged at byte 12: \
         its plan has more workers or segments than a case may have"
    );
    let missing = Recording::read(Path::new("/nowhere/x.ktstr")).expect_err("refused");
    assert_eq!(missing.to_string(), "cannot read the recording /nowhere/x.ktstr");
}

#[test]
fn the_hash_is_of_the_guest_alone() {
    let entries = some_entries();
    let guest: Vec<Entry> = entries.iter().filter(|entry| matches!(entry, Entry::Guest(_))).cloned().collect();
    let hash = |entries: &[Entry]| read(&write(entries, true)).expect("whole").guest_sha256();
    assert_eq!(hash(&entries), hash(&guest));
    assert_ne!(hash(&entries), hash(&guest[..1]));
    assert_eq!(hash(&entries).to_string().len(), 64);
}

#[test]
fn views_keep_the_order() {
    let recording = read(&write(&some_entries(), true)).expect("whole");
    assert_eq!(recording.events().map(|event| event.at.0).collect::<Vec<_>>(), [5, 9]);
    assert_eq!(recording.host_events().map(|(at, _)| at.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(recording.ending(), Some(&Ending::Guest { code: 16 }));
    assert_eq!(recording.console(), b"hello\n");
}

#[test]
fn a_full_disk_is_told_with_what_to_try() {
    let error = Writer::create(Path::new("/dev/full"), &header()).expect_err("full");
    assert!(matches!(error, WriteError::Io { .. }));
    assert_eq!(
        error.to_string(),
        "cannot write the recording /dev/full: no room is left; free some space, or point --output \
         (under Bazel: --output_user_root) to a larger disk"
    );
}
