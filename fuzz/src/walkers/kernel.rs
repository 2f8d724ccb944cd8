//! A kernel with everything that is read: three tasks, a scheduler with its queues, four maps, a stack with its unwind tables.

use super::types::types;
use ktstr_monitor::testkit::{Fake, Machine, DIRECT, LINKED_AT};
use ktstr_monitor::Image;
use ktstr_testing::BtfWriter;
use std::sync::Arc;

/// Where the image is: low, so that there is little memory.
const TEXT_AT: u64 = 0x20_0000;
/// Symbols, from the beginning of the image.
const SYMBOLS: [(&str, u64); 13] = [
    ("scx_root", 0x12_0000),
    ("scx_enable_state_var", 0x12_0008),
    ("nr_node_ids", 0x12_0010),
    ("map_idr", 0x12_0018),
    ("__cpu_online_mask", 0x12_0020),
    ("bpf_kallsyms", 0x12_0030),
    ("tk_fast_mono", 0x12_0040),
    ("modules", 0x12_0400),
    ("btf_modules", 0x12_0410),
    ("__start_orc_unwind_ip", 0x13_0000),
    ("__stop_orc_unwind_ip", 0x13_0010),
    ("__start_orc_unwind", 0x13_0100),
    ("schedule", 0x13_1000),
];
/// Of the testkit's image.
const INIT_TASK: u64 = 0x10_1000;
const RUNQUEUES: u64 = 0x10_4000;
/// From a per-CPU address to the memory of CPU 0, and from there to that of CPU 1.
const CPU_0: u64 = 0x2000;
const NEXT_CPU: u64 = 0x1000;
/// Per-CPU memory.
const EVENTS: u64 = 0x14_0000;
const VALUES: u64 = 0x14_0100;
const FIRST: u64 = 0x8000;
const THREAD: u64 = 0x8100;
const OTHER: u64 = 0x8200;
pub(super) const TASKS: [u64; 3] = [FIRST, THREAD, OTHER];
const SIGNAL: u64 = 0x8400;
const SIGNAL_2: u64 = 0x8440;
const CFS_RQ: u64 = 0x8480;
const SCHED: u64 = 0x8500;
const NODES: u64 = 0x8540;
const NODE: u64 = 0x8580;
const TABLE: u64 = 0x8600;
const NEAR: u64 = 0x8640;
const FAR: u64 = 0x8680;
const DOMAIN: u64 = 0x8700;
const TREE: u64 = 0x9000;
const ARRAY: u64 = 0x9300;
const PER_CPU_ARRAY: u64 = 0x9380;
const HASH: u64 = 0x9400;
const PER_CPU_HASH: u64 = 0x9480;
const BUCKETS: u64 = 0x9700;
const ELEMENT: u64 = 0x9740;
const ELEMENT_2: u64 = 0x9780;
const BUCKETS_2: u64 = 0x97c0;
const ELEMENT_3: u64 = 0x97e0;
const TYPES: u64 = 0x9840;
const OBJECT: u64 = 0xa000;
const CLOCK: u64 = 0x9900;
const TSC: u64 = 0x9910;
const MODULE: u64 = 0x9a00;
const STACK: u64 = 0xb000;
const CODE: u64 = 0xb200;
/// A task and the other lists that it is on, from its beginning.
const IN_TASKS: u64 = 48;
const IN_THREADS: u64 = 64;
const IN_DSQ: u64 = 168;
const OF_THREADS: u64 = 8;

/// What an input may change: where such an object begins.
pub(crate) const PLACES: [u64; 50] = [
    FIRST,
    THREAD,
    OTHER,
    SIGNAL,
    SIGNAL_2,
    CFS_RQ,
    SCHED,
    NODES,
    NODE,
    TABLE,
    NEAR,
    FAR,
    TREE,
    ARRAY,
    PER_CPU_ARRAY,
    HASH,
    PER_CPU_HASH,
    BUCKETS,
    ELEMENT,
    ELEMENT_2,
    BUCKETS_2,
    ELEMENT_3,
    TYPES,
    OBJECT,
    CLOCK,
    TSC,
    STACK,
    CODE,
    // The image: symbols, unwind tables, CPUs, `system_state`, `init_task`, page tables.
    text(0x12_0000),
    text(0x13_0000),
    text(0x13_0100),
    text(0x10_0000),
    text(0x10_0100),
    text(INIT_TASK),
    text(0x10_2000 + 0x7f8),
    text(0x10_2000 + 0x880),
    0x2fe0,
    0x3040,
    0x4000,
    text(RUNQUEUES + CPU_0),
    text(RUNQUEUES + CPU_0 + NEXT_CPU),
    text(EVENTS + CPU_0),
    text(VALUES + CPU_0),
    // Nothing is there yet.
    0xc000,
    0xd000,
    0xe000,
    0xf000,
    0x1_0000,
    DOMAIN,
    // With its symbols, and the place of its types.
    MODULE,
];

const fn text(offset: u64) -> u64 {
    TEXT_AT + offset
}

/// Where the kernel has an address.
pub(crate) const fn direct(at: u64) -> u64 {
    DIRECT + at
}

/// Two numbers of 4 bytes.
const fn halves(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The kernel's image and its memory.
pub(super) fn kernel() -> (Arc<Image>, Fake) {
    let mut machine = Machine::new(TEXT_AT, 0);
    let symbols = SYMBOLS.iter().map(|(name, offset)| ((*name).to_owned(), LINKED_AT + offset));
    machine.symbols.extend(symbols);
    let image = Arc::new(machine.image_of(&types()));
    let mut memory = machine.memory;
    let mut put = |at: u64, words: &[u64]| {
        words.iter().zip((at..).step_by(8)).for_each(|(word, at)| memory.put(at, *word));
    };
    tasks(&mut put);
    runqueues(&mut put);
    scheduler(&mut put);
    maps(&mut put);
    clock(&mut put);
    stack(&mut put);
    module(&mut put);
    for (at, name) in [(FIRST, "init"), (THREAD, "worker"), (OTHER, "kthreadd")] {
        memory.write(at + 88, name.as_bytes());
    }
    for (at, name) in [(ARRAY, "queues.bss"), (PER_CPU_ARRAY, "counts"), (HASH, "by_pid"), (PER_CPU_HASH, "per_cpu")] {
        memory.write(at + 32, name.as_bytes());
    }
    memory.write(TSC, b"tsc");
    memory.write(MODULE + 24, b"module");
    memory.write(MODULE + 0x100, b"\0work\0each\0");
    memory.write(CODE + 32, b"bpf_prog_enqueue");
    let (object, _) = object();
    memory.write(OBJECT, &object);
    // CALL, by the stack pointer; the same with a saved frame pointer; by the frame pointer; the end.
    let entries =
        [(8u16, 0u16, 0x205u16), (16, 0u16.wrapping_sub(16), 0x215), (16, 0u16.wrapping_sub(16), 0x214), (0, 0, 0)];
    for ((sp, bp, bits), at) in entries.into_iter().zip((text(0x13_0100)..).step_by(6)) {
        memory.write(at, &[sp, bp, bits].map(u16::to_le_bytes).concat());
    }
    let starts = [0x13_1000u32, 0x13_1010, 0x13_2000, 0x13_3000];
    for (start, index) in starts.into_iter().zip(0..) {
        memory.write(text(0x13_0000) + 4 * u64::from(index), &(start - 0x13_0000 - 4 * index).to_le_bytes());
    }
    (image, memory)
}

/// What writes words.
type Put<'a> = &'a mut dyn FnMut(u64, &[u64]);

/// A `struct list_head` each, in a ring: where it is, and where the kernel sees it.
fn ring(put: Put<'_>, nodes: &[(u64, u64)]) {
    for (index, (at, _)) in nodes.iter().enumerate() {
        let neighbour = |by: usize| nodes[(index + by) % nodes.len()].1;
        put(*at, &[neighbour(1), neighbour(nodes.len() - 1)]);
    }
}

fn tasks(put: Put<'_>) {
    const WAITS_SINCE: u64 = 6_990_000_000;
    for (at, pid, tgid, flags, signal) in
        [(FIRST, 1, 1, 0, SIGNAL), (THREAD, 2, 1, 0, SIGNAL), (OTHER, 3, 3, 0x20_0000, SIGNAL_2)]
    {
        let (runs, waits) = (at == FIRST, at != FIRST);
        put(at, &[0, halves(0, flags), halves(u32::from(runs), 1), halves(0, pid), halves(tgid, 120), 3]);
        put(at + 80, &[direct(signal)]);
        put(at + 104, &[1000, 2, if waits { WAITS_SINCE } else { 0 }, 5000, direct(CFS_RQ), 0, 0]);
        put(at + 160, &[if waits { direct(NEAR) } else { 0 }]);
        put(at + 192, &[halves(1, 100), 77, 20_000_000, 5, direct(STACK)]);
    }
    let node = |at: u64| (at, direct(at));
    let init = (text(INIT_TASK + IN_TASKS), LINKED_AT + INIT_TASK + IN_TASKS);
    ring(put, &[init, node(FIRST + IN_TASKS), node(OTHER + IN_TASKS)]);
    ring(put, &[node(SIGNAL + OF_THREADS), node(FIRST + IN_THREADS), node(THREAD + IN_THREADS)]);
    ring(put, &[node(SIGNAL_2 + OF_THREADS), node(OTHER + IN_THREADS)]);
    put(CFS_RQ, &[halves(1, 1), 0]);
}

fn runqueues(put: Put<'_>) {
    let [busy, idle] = [text(RUNQUEUES + CPU_0), text(RUNQUEUES + CPU_0 + NEXT_CPU)];
    put(busy, &[3, 7_000_000_000, direct(FIRST), direct(0x9e00), halves(1, 1), 100, 3, 0, halves(3, 1)]);
    put(idle, &[0, 6_000_000_000, direct(0x9f00), direct(0x9f00), 0, 100, 3]);
    for at in [busy, idle] {
        put(at + 112, &[direct(DOMAIN)]);
    }
    put(DOMAIN, &[direct(DOMAIN + 0x40), direct(TSC), halves(0x1000, 8), 0, 77, 3]);
    put(DOMAIN + 0x40, &[0, direct(TSC), halves(0x1000, 8), 0, 77, 3]);
    for at in [busy + 72, idle + 72] {
        ring(put, &[(at, LINKED_AT + at - TEXT_AT)]);
        put(at + 16, &[0, 1 << 63 | 2]);
    }
}

fn scheduler(put: Put<'_>) {
    // `scx_root` and what is behind it: the scheduler, ENABLED, one node, a tree with one level, two CPUs.
    put(text(0x12_0000), &[direct(SCHED), 1, 1, direct(TREE) | 2, 3]);
    put(SCHED, &[LINKED_AT + EVENTS, direct(NODES), direct(TABLE), 0]);
    put(NODES, &[direct(NODE)]);
    let node = |at: u64| (at, direct(at));
    ring(put, &[node(NODE + 8)]);
    put(NODE + 8 + 16, &[0, 1 << 63 | 1]);
    put(TABLE, &[2, 0, direct(NEAR + 32) | 1, direct(FAR + 32)]);
    ring(put, &[node(NEAR), node(THREAD + IN_DSQ), node(OTHER + IN_DSQ)]);
    put(NEAR + 16, &[2, 7, 0x99]);
    ring(put, &[node(FAR)]);
    put(FAR + 16, &[0, 8, 0x99]);
    put(text(EVENTS + CPU_0 + 8), &[1, 10]);
    put(text(EVENTS + CPU_0 + NEXT_CPU + 8), &[2, 20]);
}

/// Types of an object, and the number of its section.
fn object() -> (Vec<u8>, [u32; 2]) {
    let mut object = BtfWriter::default();
    let (u64_, int) = (object.int("__u64", 8, 0), object.int("int", 4, 1));
    let numbers = object.array(int, 2);
    let value = object.structure("value", 8, &[("pair", numbers, 0, 0)]);
    let bss = object.section(".bss", 16, &[("nr_queued", u64_, 0, 8), ("vtime", u64_, 8, 8)]);
    (object.finish(), [bss, value])
}

fn maps(put: Put<'_>) {
    let (object, [bss, value]) = object();
    put(TREE + 8 + 8, &[ARRAY, PER_CPU_ARRAY, HASH, PER_CPU_HASH].map(direct));
    // Number and kind; bytes of a key and a value; elements and type; the object.
    let map = |id, kind, key, bytes, elements, value| {
        [halves(id, kind), halves(key, bytes), halves(elements, value), direct(TYPES)]
    };
    put(ARRAY, &map(1, 2, 4, 16, 1, bss));
    put(ARRAY + 48, &[16, 42, 7]);
    put(PER_CPU_ARRAY, &map(2, 6, 4, 8, 2, 0));
    put(PER_CPU_ARRAY + 56, &[LINKED_AT + VALUES, LINKED_AT + VALUES + 8]);
    put(HASH, &map(3, 1, 4, 8, 8, value));
    put(HASH + 48, &[direct(BUCKETS), 2]);
    put(PER_CPU_HASH, &map(4, 5, 8, 8, 8, value));
    put(PER_CPU_HASH + 48, &[direct(BUCKETS_2), 1]);
    put(BUCKETS, &[1, 0, direct(ELEMENT), 0]);
    put(ELEMENT, &[direct(ELEMENT_2), 0, 11, 111]);
    put(ELEMENT_2, &[3, 0, 12, 112]);
    put(BUCKETS_2, &[direct(ELEMENT_3), 0]);
    put(ELEMENT_3, &[1, 0, 13, LINKED_AT + VALUES + 16]);
    put(TYPES, &[direct(OBJECT), object.len() as u64, 0]);
    for (at, first) in [(text(VALUES + CPU_0), 5), (text(VALUES + CPU_0 + NEXT_CPU), 6)] {
        put(at, &[first, first * 10, first * 100]);
    }
}

fn clock(put: Put<'_>) {
    let base = [direct(CLOCK), u64::MAX, 5000, halves(8, 2), 3 << 2, 1_000_000_000];
    put(text(0x12_0040), &[0]);
    put(text(0x12_0048), &[base, base].concat());
    put(CLOCK, &[direct(TSC)]);
}

/// Task 2 was switched out: from `schedule`, which was called by what has a frame pointer.
fn stack(put: Put<'_>) {
    put(STACK, &[0, LINKED_AT + 0x13_1014, direct(STACK + 0x40), LINKED_AT + 0x13_2004]);
    put(STACK + 0x40, &[0, LINKED_AT + 0x13_3004]);
    put(CODE, &[direct(0x2_0000), direct(0x2_1000)]);
    let head = (text(0x12_0030), LINKED_AT + 0x12_0030);
    ring(put, &[head, (CODE + 16, direct(CODE + 16))]);
}

/// Loaded: a function at 0xb300 with an entry of the image's unwind table, and a per-CPU variable.
fn module(put: Put<'_>) {
    let head = |offset: u64| (text(offset), LINKED_AT + offset);
    ring(put, &[head(0x12_0400), (MODULE + 8, direct(MODULE + 8))]);
    ring(put, &[head(0x12_0410), (MODULE + 0x140, direct(MODULE + 0x140))]);
    put(MODULE + 40, &[direct(STACK + 0x300), 0x100, 0, 0, LINKED_AT + VALUES, 24, direct(MODULE + 0x80)]);
    put(MODULE + 96, &[1, direct(MODULE + 0x120), LINKED_AT + 0x13_0100]);
    put(MODULE + 0x80, &[direct(MODULE + 0xa0), 3, direct(MODULE + 0x100)]);
    put(MODULE + 0xa0, &[0, 0, 0, 1 | 1 << 48, direct(STACK + 0x300), 16, 6 | 1 << 48, LINKED_AT + VALUES, 8]);
    put(MODULE + 0x120, &[STACK + 0x300 - MODULE - 0x120]);
    put(MODULE + 0x150, &[direct(MODULE), direct(TYPES)]);
}
