//! Modules of a kernel that never ran.

use super::*;
use crate::segments::Memory;
use crate::testkit::{direct, ring, Fake, Machine, LINKED_AT, LOADED_AT};
use ktstr_testing::BtfWriter;
use ktstr_vmm::{Gpa, MemoryError};
use std::sync::{Arc, Mutex};

/// Where everything is: two modules, symbols and their names, unwind table, text; types.
const MINE: u64 = 0x8000;
const OTHER: u64 = 0x8100;
const KALLSYMS: u64 = 0x8200;
const TABLE: u64 = 0x8300;
const NAMES: u64 = 0x8400;
pub(crate) const ORC: u64 = 0x8500;
const BTF_MODULE: u64 = 0x8600;
const BLOB: u64 = 0x8700;
const TEXT: u64 = 0x9000;
/// Of `struct module`.
const LIST: u64 = 8;
/// What is said of an address.
const MINE_AT: Option<&str> = Some("work+0x0 [mine]");

pub(crate) fn add_types(btf: &mut BtfWriter) {
    let (int, pointer, char_) = (btf.int("int", 4, 0), btf.pointer(0), btf.int("char", 1, 1));
    let list = btf.structure("list_head", 16, &[("next", pointer, 0, 0), ("prev", pointer, 64, 0)]);
    let part = btf.structure("module_memory", 16, &[("base", pointer, 0, 0), ("size", int, 64, 0)]);
    let (parts, name) = (btf.array(part, 2), btf.array(char_, 16));
    let orc = [("num_orcs", int, 0, 0), ("orc_unwind_ip", pointer, 64, 0), ("orc_unwind", pointer, 128, 0)];
    let arch = btf.structure("mod_arch_specific", 24, &orc);
    let members = [
        ("state", int, 0),
        ("list", list, LIST as u32),
        ("name", name, 24),
        ("mem", parts, 40),
        ("percpu", pointer, 72),
        ("percpu_size", int, 80),
        ("kallsyms", pointer, 88),
        ("arch", arch, 96),
    ];
    btf.structure("module", 120, &members.map(|(name, id, at)| (name, id, at * 8, 0)));
    let tables = [("symtab", pointer, 0, 0), ("num_symtab", int, 64, 0), ("strtab", pointer, 128, 0)];
    btf.structure("mod_kallsyms", 24, &tables);
    btf.structure("btf_module", 32, &[("list", list, 0, 0), ("module", pointer, 128, 0), ("btf", pointer, 192, 0)]);
    btf.structure("btf", 24, &[("data", pointer, 0, 0), ("data_size", int, 64, 0), ("base_btf", pointer, 128, 0)]);
}

/// `mine` and `other`, with equal symbols; gives where their text is.
pub(crate) fn add_to(machine: &mut Machine) -> u64 {
    machine.symbols.push(("modules".into(), LINKED_AT + 0x14_0000));
    machine.symbols.push(("btf_modules".into(), LINKED_AT + 0x14_0010));
    let heads =
        ["modules", "btf_modules"].map(|name| (machine.at(name), Gva(machine.at(name) - LOADED_AT + LINKED_AT)));
    let node = |at: u64| (at, direct(at));
    let memory = &mut machine.memory;
    ring(memory, &[heads[0], node(MINE + LIST), node(OTHER + LIST)]);
    ring(memory, &[heads[1], node(BTF_MODULE)]);
    for (at, name, text) in [(MINE, "mine", TEXT), (OTHER, "other", TEXT + 0x100)] {
        memory.write(at + 24, name.as_bytes());
        let words =
            [direct(text).0, 0x100, 0, 0, 0x7000, 0x10, direct(KALLSYMS).0, 1, direct(ORC).0, direct(ORC + 0x40).0];
        words.iter().zip((at + 40..).step_by(8)).for_each(|(word, at)| memory.put(at, *word));
    }
    let text = direct(TEXT).0;
    memory.write(ORC, &((TEXT + 0x10 - ORC) as u32).to_le_bytes());
    let mut put = |at: u64, words: &[u64]| {
        words.iter().zip((at..).step_by(8)).for_each(|(word, at)| memory.put(at, *word));
    };
    put(KALLSYMS, &[direct(TABLE).0, 5, direct(NAMES).0]);
    // Name and section, value, bytes. Nothing; what another module has; two functions at one address; a per-CPU variable.
    let symbols = [(0, 1, 0), (11, 0, text), (1, 1, text + 0x10), (11, 1, text + 0x10), (6, 1, 0x7008)];
    for ((name, section, value), at) in symbols.into_iter().zip((TABLE..).step_by(24)) {
        put(at, &[name | section << 48, value, 0]);
    }
    let mut types = BtfWriter::default();
    let long = types.int("long", 8, 1);
    types.section(".data..percpu", 8, &[("each", long, 0, 8)]);
    let types = types.finish();
    put(BTF_MODULE + 16, &[direct(MINE).0, direct(BTF_MODULE + 32).0, direct(BLOB).0, types.len() as u64, 0]);
    memory.write(NAMES, b"\0work\0each\0alias\0");
    memory.write(BLOB, &types);
    text
}

/// The module that is looked for, words in place of others, what it comes to; what is said of an address in `mine`.
type Row<'a> = (&'a str, &'a [(u64, u64)], String, Option<&'a str>);

/// What is asked of a machine with both modules and these words in place of others.
fn ask<T>(words: &[(u64, u64)], question: impl Fn(&Kernel, &Modules) -> T) -> T {
    let (mut machine, mut btf) = (Machine::new(LOADED_AT, 0), BtfWriter::default());
    add_types(&mut btf);
    add_to(&mut machine);
    words.iter().for_each(|(at, word)| machine.memory.put(*at, *word));
    let kernel = machine.open(&btf).expect("is there");
    question(&kernel, &Modules::of(&kernel).expect("are there"))
}

#[test]
fn symbols_addresses_and_types_of_modules() {
    ask(&[], |kernel, modules| {
        let mine = modules.find(kernel, "mine").expect("is loaded");
        let symbol = |name| modules.symbol(kernel, &mine, name).map(|at| at.0).map_err(|error| error.to_string());
        assert_eq!((symbol("work"), symbol("alias")), (Ok(direct(TEXT + 0x10).0), Ok(direct(TEXT + 0x10).0)));
        assert!(mine.per_cpu.contains(&symbol("each").expect("is a symbol")));
        assert_eq!(symbol("wrk"), Err("module mine has no `wrk` (in `wrk`); there is `work`".into()));
        let around = |at| modules.around(kernel, direct(TEXT).plus(at));
        assert_eq!((around(0xff), around(0x100), around(0x200)), (Some("work+0xef [mine]".into()), None, None));
        let types = modules.types(kernel, &mine).expect("are readable").expect("are there");
        assert!(types.variable("each").is_some());
        let other = modules.find(kernel, "other").expect("is loaded");
        assert!(modules.types(kernel, &other).expect("are readable").is_none());
    });
}

#[test]
fn of_two_variables_with_one_name_none_is_taken() {
    // The alias is called like the other function, and lies elsewhere; or at the same place.
    for (value, expected) in [
        (TEXT + 0x20, Err("`work` cannot be read: module mine has several of that name".to_owned())),
        (TEXT + 0x10, Ok(direct(TEXT + 0x10))),
    ] {
        let seen = ask(&[(TABLE + 72, 1 | 1 << 48), (TABLE + 80, direct(value).0)], |kernel, modules| {
            let mine = modules.find(kernel, "mine").expect("is loaded");
            modules.symbol(kernel, &mine, "work").map_err(|error| error.to_string())
        });
        assert_eq!(seen, expected);
    }
}

/// Memory in which a word is another one the first times that it is read.
struct Changing {
    memory: Fake,
    at: u64,
    words: Mutex<Vec<u64>>,
}

impl Memory for Changing {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(at, into)?;
        if let Some(from) = self.at.checked_sub(at.0).map(|from| from as usize).filter(|from| from + 8 <= into.len()) {
            let mut words = self.words.lock().expect("is whole");
            if let Some(word) = words.pop() {
                into[from..from + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        self.memory.ranges()
    }
}

#[test]
fn a_list_that_changes_is_read_again_a_few_times() {
    let torn = "the list of modules was another one each time that it was read";
    for (tries, expected) in [(0, Ok(())), (1, Ok(())), (2, Ok(())), (3, Err(torn.to_owned()))] {
        let (mut machine, mut btf) = (Machine::new(LOADED_AT, 0), BtfWriter::default());
        add_types(&mut btf);
        add_to(&mut machine);
        // `mine` leads back to itself, which is seen when it is read the second time.
        let words = Mutex::new(vec![direct(MINE + LIST).0; 2 * tries]);
        let memory = Changing { memory: machine.memory.clone(), at: MINE + LIST, words };
        let kernel = Kernel::open(Arc::new(machine.image(&btf)), Arc::new(memory)).expect("is there");
        let modules = Modules::of(&kernel).expect("are there");
        let found = modules.find(&kernel, "other").map(drop).map_err(|error| error.to_string());
        assert_eq!(found, expected, "{tries} times");
    }
}

#[test]
fn what_a_guest_may_say_does_no_harm() {
    let (end, names) = (LOADED_AT + 0x20_1000, u64::from_le_bytes(*b"\0work\0ea"));
    let torn = "the list of modules was another one each time that it was read";
    let (most, left) = ("and 33554432 is the most that can be", "and 33554312 is the most that can be");
    let rows: [Row<'_>; 9] = [
        ("mine", &[(MINE, 2)], "module `mine` is not loaded".into(), None),
        ("other", &[(MINE + LIST, direct(MINE + LIST).0)], torn.into(), MINE_AT),
        ("other", &[(MINE + LIST, direct(1 << 40).0)], "the kernel's memory cannot be read".into(), MINE_AT),
        ("mine", &[(MINE + 88, 0)], "the kernel has nothing mapped at 0x0".into(), None),
        ("mine", &[(KALLSYMS + 8, 1 << 31)], format!("`bytes of mod_kallsyms.symtab` says 51539607552, {most}"), None),
        (
            "mine",
            &[(TABLE + 24, 1 << 31 | 1 << 48)],
            format!("`bytes of mod_kallsyms.strtab` says 2147484160, {left}"),
            None,
        ),
        // Names to the end of memory.
        ("mine", &[(KALLSYMS + 16, direct(end - 8).0), (end - 8, names)], String::new(), MINE_AT),
        (
            "mine",
            &[(BTF_MODULE + 40, u64::MAX)],
            "`btf.data_size` says 4294967295, and 4194304 is the most that can be".into(),
            MINE_AT,
        ),
        ("mine", &[(BLOB, 0)], "the types of a BPF object or a module cannot be used".into(), MINE_AT),
    ];
    for (name, words, expected, around) in rows {
        let (problem, seen) = ask(words, |kernel, modules| {
            let read = modules.find(kernel, name).and_then(|module| {
                let found = modules.symbol(kernel, &module, "work")?;
                modules.types(kernel, &module).map(|_| found)
            });
            (read.err().map(|error| error.to_string()).unwrap_or_default(), modules.around(kernel, direct(TEXT + 0x10)))
        });
        assert_eq!((problem, seen.as_deref()), (expected, around), "{words:x?}");
    }
}
