//! Writes the corpora that are made and not recorded: `cargo test -p ktstr-fuzz -- --ignored seeds`.

use crate::walkers::kernel::{direct, PLACES};
use ktstr_testing::BtfWriter;
use std::path::Path;

/// Types and strings of a blob, each with its length before it.
fn parts(blob: &[u8]) -> Vec<u8> {
    let types = u32::from_le_bytes(*blob[12..].first_chunk().expect("a header")) as usize;
    let (types, strings) = blob[24..].split_at(types);
    let lengths = [types.len() as u16, strings.len() as u16].map(u16::to_le_bytes).concat();
    [&lengths, types, strings].concat()
}

fn btf(path: &str) -> Vec<u8> {
    let mut base = BtfWriter::default();
    let (int, flag, char_) = (base.int("int", 4, 1), base.int("_Bool", 1, 4), base.int("char", 1, 1));
    let (text, numbers) = (base.array(char_, 16), base.array(int, 3));
    let inner = base.union("", 4, &[("nr", int, 0, 0), ("flags", int, 0, 7)]);
    base.structure("rq", 40, &[("", inner, 0, 0), ("comm", text, 32, 0), ("n", numbers, 160, 0), ("on", flag, 256, 0)]);
    base.enumeration("state", &[("ON", 1), ("OFF", -1)]);
    let mut top = base.split();
    let pointer = top.pointer(int + 6);
    let alias = top.typedef("rq_t", pointer);
    top.section(".bss", 16, &[("curr", alias, 0, 8), ("now", int, 8, 4)]);
    [&[1, path.len() as u8], path.as_bytes(), &parts(&base.finish()), &parts(&top.finish())].concat()
}

/// The page of the root, addresses, and the words at some places.
fn page_tables(address: u64, words: &[(u16, u64)]) -> Vec<u8> {
    let mut seed = [&[1], [address, address + 0x5000, !0, 1 << 40].map(u64::to_le_bytes).as_flattened()].concat();
    words.iter().for_each(|(at, word)| seed.extend([&at.to_le_bytes()[..], &word.to_le_bytes()].concat()));
    seed
}

/// What looks, then the places of words and what they become.
fn walkers(what: u8, words: &[(u64, u8, u64)]) -> Vec<u8> {
    let mut seed = vec![what];
    for (place, word, value) in words {
        let place = PLACES.iter().position(|known| known == place).expect("is a place") as u8;
        seed.extend([place << 2 | 1, *word]);
        seed.extend(value.to_le_bytes());
    }
    seed
}

#[test]
#[ignore = "writes the corpora"]
fn seeds() {
    let at = |index: usize| PLACES[index];
    let next = [0xfc, 0];
    let seeds: &[(&str, Vec<u8>)] = &[
        ("btf/member", btf("rq.nr")),
        ("btf/pointer", btf("rq_t->n[1]")),
        ("btf/none", btf("rqs.bits")),
        // x86 with four levels and three; aarch64 with pages of 4 KiB and a large one of 64 KiB pages.
        ("page_tables/four", page_tables(0x1234, &[(512, 0x2003), (1024, 0x3003), (1536, 0x4003), (2049, 0x7003)])),
        ("page_tables/large", page_tables(0x1234, &[(512, 0x2003), (1024, 0x3003), (1536, 0x20_0083)])),
        ("page_tables/loop", page_tables(0x1000, &[(512, 0x1003), (513, 0x1003)])),
        ("page_tables/arm", page_tables(0x1234, &[(512, 0x1_0003), (8192, 0x2000_0001)])),
        ("symbols/place", vec![0]),
        ("symbols/base", vec![1]),
        ("symbols/absolute", vec![2, 0, 1, 4, 9, 9, 9, 9]),
        ("symbols/image", vec![3]),
        ("symbols/cut", vec![3, 0, 0x20, 0]),
        ("walkers/dump", walkers(0, &[])),
        ("walkers/opened", walkers(1, &[])),
        ("walkers/walk", walkers(0x43, &[])),
        ("walkers/samples", [walkers(0x42, &[]), next.into(), walkers(0x42, &[(at(1), 15, 0)])[1..].to_vec()].concat()),
        // A queue and an element that are behind themselves, and a map of many CPUs.
        ("walkers/queues", walkers(2, &[(at(11), 4, direct(at(11) + 32))])),
        // A process that is its own only thread, apart from its head.
        ("walkers/threads", walkers(3, &[(at(0), 8, direct(at(0) + 64)), (at(0), 9, direct(at(0) + 64))])),
        ("walkers/elements", walkers(2, &[(at(19), 0, direct(at(19)))])),
        ("walkers/keys", walkers(0, &[(at(15), 1, 0xffff | 8 << 32), (at(19), 0, direct(at(19)))])),
        ("walkers/cpus", walkers(0, &[(at(31), 0, 1024)])),
        (
            "walkers/module",
            [&[0x80], [0, direct(0xb304), direct(0xb018), 0].map(u64::to_le_bytes).as_flattened()].concat(),
        ),
        ("walkers/module_symbols", walkers(2, &[(at(49), 17, 1 << 20)])),
        ("walkers/types", walkers(0, &[(at(22), 1, 16 << 20), (at(22), 2, 1)])),
    ];
    let root = ["fuzz/corpus", "corpus"].map(Path::new).into_iter().find(|root| root.is_dir()).expect("corpora");
    for (name, seed) in seeds {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        std::fs::write(path, seed).expect("writes");
    }
}
