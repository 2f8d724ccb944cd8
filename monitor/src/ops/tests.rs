//! Ops on a kernel that never ran.

use super::*;
use crate::bpf::tests::{machine, types};
use crate::bpf::{ARRAY, PERCPU_ARRAY};
use crate::segments::Memory;
use crate::testkit::{direct, Fake, Machine, LINKED_AT, LOADED_AT};
use ktstr_testing::BtfWriter;
use ktstr_vmm::{Gpa, MemoryError};
use std::sync::{Arc, Mutex};

/// Memory that is written meanwhile.
struct Written(Mutex<Fake>);

impl Memory for Written {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        self.0.lock().expect("nobody panicked").read(at, into)
    }

    fn overwrite(&self, at: Gpa, from: &[u8]) -> Result<(), MemoryError> {
        self.0.lock().expect("nobody panicked").write(at.0, from);
        Ok(())
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        self.0.lock().expect("nobody panicked").ranges()
    }
}

fn open(machine: &Machine, types: &BtfWriter) -> Kernel {
    let memory = Written(Mutex::new(machine.memory.clone()));
    Kernel::open(Arc::new(machine.image(types)), Arc::new(memory)).expect("is there")
}

fn op(variable: Variable, access: Access) -> HostOp {
    HostOp { step: 0, path: "p".into(), variable, access }
}

/// `symbol`, `symbol:type`, with `.field` or `->field`, and `@cpu`.
fn kernel_variable(text: &str) -> Variable {
    let (text, cpu) = text.split_once('@').map_or((text, None), |(text, cpu)| (text, cpu.parse().ok()));
    let (whole, field) = match (text.find("->"), text.split_once('.')) {
        (Some(at), _) => text.split_at(at),
        (None, Some(parts)) => parts,
        (None, None) => (text, ""),
    };
    let (symbol, of_type) =
        whole.split_once(':').map_or((whole, None), |(symbol, name)| (symbol, Some(name.to_owned())));
    Variable::Kernel(KernelVariable { symbol: symbol.into(), field: field.into(), of_type, cpu })
}

/// A kernel with `runqueues` of each CPU, a counter, and a pointer to a scheduler; `exit_kind` of that lies in its own page.
fn kernel() -> (Machine, BtfWriter) {
    let mut btf = BtfWriter::default();
    let (long, int) = (btf.int("long unsigned int", 8, 0), btf.int("int", 4, 1));
    btf.typedef("u64", long);
    let name = {
        let char_ = btf.int("char", 1, 1);
        btf.array(char_, 16)
    };
    let rq = btf.structure(
        "rq",
        24,
        &[("nr_running", int, 0, 0), ("low", int, 32, 3), ("high", int, 35, 29), ("name", name, 64, 0)],
    );
    btf.structure("scx_sched", 16, &[("kind", int, 64, 0)]);
    btf.section(".data..percpu", 64, &[("runqueues", rq, 0, 24)]);
    let mut machine = Machine::new(LOADED_AT, 0);
    for (name, at) in
        [("__per_cpu_start", 0x10_4000), ("__per_cpu_end", 0x10_5000), ("counter", 0x10_8000), ("scx_root", 0x10_8008)]
    {
        machine.symbols.push((name.into(), LINKED_AT + at));
    }
    machine.put("counter", 5);
    machine.put("scx_root", direct(0x9000).0);
    machine.memory.put(0x9008, 64);
    (machine, btf)
}

#[test]
fn variables_of_the_kernel_are_checked_before_it_boots() {
    let (machine, btf) = kernel();
    let image = machine.image(&btf);
    let read = Access::Read { expect: None };
    for (variable, access, expected) in [
        ("counter:u64", read, None),
        ("runqueues.nr_running@1", Access::Write(-1), None),
        ("scx_root:struct scx_sched *->kind", read, None),
        ("scx_root:struct scx_sched *", read, None),
        ("conter:u64", read, Some("the kernel has no `conter` (in `conter`); there is `counter`")),
        ("counter", read, Some("`counter` cannot be read: the kernel does not say of which type it is: name that with `of_type`, as in C")),
        ("counter:u644", read, Some("the type information has no `u644` (in `u644`); there is `u64`")),
        ("runqueues.nr_runing@1", read, Some("`rq` has no `nr_runing` (in `nr_runing`); there is `nr_running`")),
        ("runqueues.nr_running", read, Some("`runqueues` cannot be read: each CPU has its own: name one with `cpu`")),
        ("counter:u64@0", read, Some("`counter` cannot be read: there is one for all CPUs: leave `cpu` away")),
        ("runqueues.name@0", read, Some("`runqueues.name of CPU 0` cannot be read: it is no number of at most 8 bytes")),
        ("runqueues@0", read, Some("`runqueues of CPU 0` cannot be read: it is no number of at most 8 bytes")),
        ("scx_root:scx_sched *.kind", read, Some("`kind` cannot be read: `scx_root` is a pointer: write `->kind`")),
        ("runqueues.low@0", Access::Write(4), Some("`runqueues.low of CPU 0` cannot be 4: it holds -4 to 3")),
        ("counter:u64", Access::Read { expect: Some(-1) }, Some("`counter` cannot be -1: it holds 0 to 18446744073709551615")),
    ] {
        let seen = check(&image, &op(kernel_variable(variable), access)).map_err(|error| error.to_string());
        assert_eq!(seen.err().as_deref(), expected, "{variable}");
    }
}

#[test]
fn variables_of_the_kernel_are_read_and_written() {
    let (mut machine, btf) = kernel();
    // CPUs have their areas 0x2000 and 0x3000 behind the symbol.
    let first = machine.at("runqueues") + 0x2000;
    machine.memory.put(first, 3 | 0b101 << 32 | 0xff << 35);
    machine.memory.put(first + 0x1000, 4);
    let kernel = open(&machine, &btf);
    let carry_out = |text: &str, access| {
        let Variable::Kernel(variable) = kernel_variable(text) else { return Err("is one of the kernel".into()) };
        in_kernel(&kernel, &variable, text, access).map_err(|error| error.to_string())
    };
    let read = |text: &str| match carry_out(text, Access::Read { expect: None }) {
        Ok(HostOpResult::Read(value)) => Ok(value),
        other => Err(format!("{other:?}")),
    };
    let rows = [
        ("counter:u64", 5, u64::MAX.into()),
        ("runqueues.nr_running@0", 3, -2),
        ("runqueues.nr_running@1", 4, 5),
        ("runqueues.low@0", -3, 2),
        ("scx_root:struct scx_sched *->kind", 64, 1),
    ];
    for (text, before, after) in rows {
        assert_eq!(read(text), Ok(before), "{text}");
        assert_eq!(carry_out(text, Access::Write(after)), Ok(HostOpResult::Written), "{text}");
        assert_eq!(read(text), Ok(after), "{text}");
    }
    assert_eq!(read("runqueues.high@0"), Ok(0xff), "what is beside a bit field stays");
    carry_out("scx_root:u64", Access::Write(0)).expect("is written");
    let error = carry_out("scx_root:struct scx_sched *->kind", Access::Write(1)).expect_err("is NULL");
    assert_eq!(error, "a pointer in `scx_root:struct scx_sched *->kind` is NULL");
    let error = carry_out("runqueues.nr_running@7", Access::Write(1)).expect_err("is not there");
    assert_eq!(error, "there is no CPU 7: the kernel has 2");
    // What a module has is not known before, but that there can be modules is.
    let Variable::Kernel(mut variable) = kernel_variable("counter:u64") else { unreachable!("is one of the kernel") };
    variable.symbol = "mine:counter".into();
    let read = Access::Read { expect: None };
    let of_module = op(Variable::Kernel(variable.clone()), read);
    let error = check(kernel.image(), &of_module).expect_err("cannot be").to_string();
    assert!(error.starts_with("the kernel has no `modules` (in `modules`)"), "{error}");
    machine.symbols.push(("modules".into(), LINKED_AT + 0x14_0000));
    check(&machine.image(&btf), &of_module).expect("may be");
    let error = in_kernel(&kernel, &variable, "", read).expect_err("has none").to_string();
    assert_eq!(error, "the kernel has no symbol `modules`");
}

fn map_variable(map: &str, field: &str, key: Option<u64>) -> SeriesSpec {
    SeriesSpec { name: String::new(), map: map.into(), field: field.into(), key, of_all: None }
}

#[test]
fn variables_of_maps_are_read_and_written() {
    let name = [(0x8020, u64::from_le_bytes(*b"queues\0\0")), (0x8028, 0)];
    let array = [&name[..], &[(0x8030, 16), (0x8038, 7), (0x8048, 5)]].concat();
    let per_cpu =
        [&name[..], &[(0x8038, direct(0x500).0), (0x8040, direct(0x600).0), (0x2500, 3), (0x3500, 4)]].concat();
    for (kind, more, key, before, sum) in
        [(ARRAY, &array, Some(1), 5, 40), (ARRAY, &array, None, 12, 80), (PERCPU_ARRAY, &per_cpu, Some(0), 7, 80)]
    {
        let kernel = open(&machine(kind, more), &types());
        let mut variables = None;
        let spec = map_variable("queues", "", key);
        let mut carry_out = |access| in_map(&kernel, &mut variables, &spec, access).map_err(|error| error.to_string());
        assert_eq!(carry_out(Access::Read { expect: None }), Ok(HostOpResult::Read(before)));
        // All of several get it.
        assert_eq!(carry_out(Access::Write(40)), Ok(HostOpResult::Written));
        assert_eq!(carry_out(Access::Read { expect: None }), Ok(HostOpResult::Read(sum)));
    }
    let kernel = open(&machine(ARRAY, &array), &types());
    let refusal = |map: &str, field: &str, key, access| {
        let refused = in_map(&kernel, &mut None, &map_variable(map, field, key), access);
        refused.expect_err("refused").to_string()
    };
    let (read, write) = (Access::Read { expect: None }, Access::Write(-1));
    assert_eq!(refusal("queus", "", None, read), "there is no BPF map `queus`; there is `queues`");
    assert_eq!(refusal("queues", "", Some(9), read), "map queues has no such element");
    assert_eq!(refusal("queues", "", Some(9), write), "map queues has no such element");
    assert_eq!(refusal("queues", "", Some(1), write), "`` cannot be -1: it holds 0 to 18446744073709551615");
    let problem = "`a` cannot be read: the object says nothing of the types of its values";
    assert_eq!(refusal("queues", "a", Some(1), write), problem);
}

#[test]
fn memory_that_is_only_read_says_so() {
    let (machine, btf) = kernel();
    let kernel = machine.open(&btf).expect("is there");
    let error = kernel
        .object_of(kernel.btf(), TypeId(0), kernel.symbol("counter").expect("is one"))
        .set(&btf_field(&kernel), "counter", 1)
        .expect_err("is only read");
    let source = std::error::Error::source(&error).expect("has one").to_string();
    assert_eq!(source, format!("guest memory at {:#x} is only to be read", machine.at("counter")));
}

fn btf_field(kernel: &Kernel) -> Field {
    kernel.btf().find("u64").and_then(|id| kernel.btf().whole(id)).expect("is a number")
}
