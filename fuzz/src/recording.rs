//! A file that should be a recording: read, judged, compared, shown.

use ktstr_judge::{judge, Judgement};
use ktstr_recording::{compare, Recording};
use ktstr_timeline::{perfetto, Head, Page};

/// Magic and version.
const PREAMBLE_BYTES: usize = 12;
/// Length, kind, CRC.
const HEAD_BYTES: usize = 9;

/// The bytes as they are, then with checksums put right.
///
/// # Panics
/// If a judgement has no finding, a recording differs from itself, or a name ends the data of a page.
pub fn recording(input: &[u8]) {
    let mut bytes = input.to_vec();
    look(&bytes);
    put_right(&mut bytes);
    if bytes != input {
        look(&bytes);
    }
}

fn look(bytes: &[u8]) {
    let read = match Recording::from_bytes(bytes, "input") {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let judgement = judge(&read, &read.header.case.checks);
    assert!(!judgement.findings.is_empty(), "nothing was found");
    // As it is with events that are not in it.
    let mut shorter = read.clone();
    shorter.entries.truncate(read.entries.len() / 2);
    compare(&read, &shorter);
    let same = format!("{:?}", compare(&read, &read));
    assert!(!same.starts_with("OtherCase") && !same.starts_with("Event"), "it differs from itself: {same}");
    show(&read, &judgement);
}

fn show(read: &Recording, judgement: &Judgement) {
    perfetto(read, &judgement.findings);
    let case = &read.header.case;
    let head = Head {
        name: case.name.clone(),
        topology: case.topology.to_string(),
        profile: case.profile.clone().unwrap_or_default(),
        seed: case.seed,
        verdict: judgement.verdict,
    };
    let mut page = Page::default();
    page.add(head, &judgement.findings, Ok(read));
    let page = String::from_utf8(page.render(&case.name)).unwrap_or_default();
    // Of the list of cases, the case, and the script.
    assert_eq!(page.matches("</script").count(), 3, "a name ends its data");
    assert!(!page.contains("<!--"), "a name begins a comment");
}

/// Gives each record that is whole the checksum of its content.
fn put_right(bytes: &mut [u8]) {
    let mut rest = bytes.get_mut(PREAMBLE_BYTES..).unwrap_or_default();
    while let Some((head, after)) = rest.split_first_chunk_mut::<HEAD_BYTES>() {
        let [l0, l1, l2, l3, kind, crc @ ..] = head;
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let Some((body, next)) = after.split_at_mut_checked(length) else { return };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[*kind]);
        hasher.update(body);
        *crc = hasher.finalize().to_le_bytes();
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn samples_and_switches_are_looked_at_too() {
        let comm = "</script><!--";
        let sampled = ktstr_testing::Sampled { topology: "1n1l2c1t", ms: 100, comm, traced: true, history: "" };
        super::recording(&sampled.write());
    }
}
