//! A kernel module of known values, read and written from outside on kernels that never saw a compiler: by its name and theirs, and as their
//! own types say.

use ktstr_model::host_op::{Access, HostOp, HostOpResult, KernelVariable, Variable};
use ktstr_model::{Clock, MonitorSpec, Placement, Topology};
use ktstr_monitor::{Image, Kernel, Memory, Modules, Sampler};
use ktstr_testing::{known_module, ModuleFacts};
use ktstr_tests::Target;
use ktstr_vmm::{command_line, Emulator, Machine, MachineBackend, MachineSpec, Start, TcgBackend};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(300);
const INIT: &str = "#!/busybox sh
/busybox mount -t proc none /proc && /busybox mount -t sysfs none /sys && /busybox insmod /known.ko
/busybox grep ktstr_known /proc/kallsyms
/busybox ls -1 /sys/kernel/btf
echo all said
/busybox sleep 100000
";

#[test]
fn variables_of_a_module_are_what_they_are() {
    for kernel in ["linux_6_12", "linux_6_16", "linux_7_3"] {
        for target in [format!("module_{kernel}"), format!("module_{kernel}_moved")] {
            println!("{target}");
            look(&target);
        }
    }
}

fn look(target: &str) {
    let inputs = Target::new(target).inputs();
    let directory = tempfile::tempdir().expect("a directory");
    let image = Arc::new(Image::open(&inputs.image()).expect("has symbols and types"));
    let initramfs = directory.path().join("initramfs");
    let busybox = std::fs::read(Target::new("module_linux_7_3.shell").inputs().tools()).expect("reads");
    std::fs::write(&initramfs, archive(&busybox, &known_module(facts(&image)))).expect("writes");
    let arguments: &[String] = if target.ends_with("_moved") { &["kaslr".into()] } else { &[] };
    let spec = MachineSpec {
        start: Start::Boot,
        topology: Topology::new(1, 1, 2, 1).expect("can be"),
        clock: Clock::Real,
        virtualization: false,
        placement: Placement::default(),
        seed: 1,
        instants: None,
        kernel: inputs.kernel(),
        initramfs: Some(initramfs),
        command_line: command_line(None, arguments),
        window: None,
        directory: directory.path().into(),
    };
    let emulator = Emulator::installed(inputs.emulator_script(directory.path()));
    let mut machine = TcgBackend::new(emulator).start(&spec).expect("starts");
    let said = said(&mut *machine);
    assert!(said.lines().any(|line| line.trim_end() == "ktstr_known"), "in /sys/kernel/btf:\n{said}");
    let memory: Arc<dyn Memory> = Arc::new(machine.memory().clone());
    let kernel = Kernel::open(image.clone(), memory.clone()).expect("is there");
    assert_eq!(kernel.slide() != 0, target.ends_with("_moved"), "{:#x}", kernel.slide());
    symbols(&kernel, &said);
    values(&kernel);
    ops(Sampler::open(image, memory, &MonitorSpec::default()).expect("is there"));
}

fn facts(image: &Image) -> ModuleFacts {
    let btf = image.btf();
    let module = btf.find("module").and_then(|id| btf.size(id)).expect("has modules");
    let number = |name| btf.find(name).expect("is a type").0;
    let name = btf.field("module", "name").expect("has a name");
    ModuleFacts { module: (module, name.offset), end: btf.end(), numbers: ["u64", "s32"].map(number) }
}

/// What the guest prints, up to its last line.
fn said(machine: &mut dyn Machine) -> String {
    let (begun, mut said) = (Instant::now(), String::new());
    while !said.contains("all said") {
        let exit = machine.wait(Duration::from_millis(20)).expect("can be watched");
        said += &String::from_utf8_lossy(&machine.console().expect("is readable"));
        assert!(exit.is_none() && begun.elapsed() < PATIENCE, "{exit:?}: {said}");
    }
    said
}

/// Symbols are where the kernel itself says, and what is at their addresses has their names.
fn symbols(kernel: &Kernel, said: &str) {
    let modules = Modules::of(kernel).expect("are there");
    let module = modules.find(kernel, "ktstr_known").expect("is loaded");
    for name in ["known", "counter", "each", "function"] {
        let at = modules.symbol(kernel, &module, name).expect("is a symbol");
        let of_kernel = said.lines().find(|line| line.contains(&format!(" {name}\t[ktstr_known]")));
        let of_kernel = of_kernel.and_then(|line| line.split(' ').next()).expect("the kernel has it, too");
        assert_eq!(format!("{:016x}", at.0), of_kernel, "{name}");
        if name != "each" {
            assert_eq!(modules.around(kernel, at.plus(5)), Some(format!("{name}+0x5 [ktstr_known]")));
        }
    }
}

/// By the types that the module brings, which go on where the kernel's end.
fn values(kernel: &Kernel) {
    let modules = Modules::of(kernel).expect("are there");
    let module = modules.find(kernel, "ktstr_known").expect("is loaded");
    let types = modules.types(kernel, &module).expect("are readable").expect("are there");
    let id = types.variable("known").expect("is described");
    let known = kernel.object_of(&types, id, modules.symbol(kernel, &module, "known").expect("is a symbol"));
    for (path, value) in [
        ("large", "18446744073709551600"),
        ("negative", "-5"),
        ("low_bits", "5"),
        ("high_bits", "123456"),
        ("text", "\"known text\""),
        ("inner.deep[3]", "40"),
    ] {
        assert_eq!(known.field(path).expect("is there").to_string(), value, "{path}");
    }
}

/// As cases do it.
fn ops(mut sampler: Sampler) {
    let mut carry_out = |symbol: &str, field: &str, of_type: Option<&str>, cpu, access| {
        let (symbol, field, of_type) = (symbol.into(), field.into(), of_type.map(str::to_owned));
        let variable = Variable::Kernel(KernelVariable { symbol, field, of_type, cpu });
        let op = HostOp { step: 0, path: String::new(), variable, access };
        let result = sampler.carry_out(&op).expect("is there");
        match result.map_err(|error| error.to_string())? {
            HostOpResult::Read(number) => Ok(number),
            other => Err(format!("{other:?}")),
        }
    };
    let known = |name: &str| format!("ktstr_known:{name}");
    for (symbol, field, of_type, cpu, before, after) in [
        ("known", "large", None, None, 0xffff_ffff_ffff_fff0, 1),
        ("known", "negative", None, None, -5, -6),
        ("known", "low_bits", None, None, 5, 2),
        ("known", "high_bits", None, None, 123_456, 123_457),
        ("known", "inner.deep[1]", Some("struct known"), None, 20, 21),
        ("counter", "", Some("u64"), None, 42, 43),
        ("counter", "", None, None, 43, u64::MAX.into()),
        ("each", "", None, Some(1), 7, 8),
        ("each", "", None, Some(0), 7, 9),
    ] {
        let read = Access::Read { expect: None };
        assert_eq!(carry_out(&known(symbol), field, of_type, cpu, read), Ok(before), "{symbol} {field}");
        let written = carry_out(&known(symbol), field, of_type, cpu, Access::Write(after));
        assert_eq!(written, Err("Written".into()), "{symbol} {field}");
        assert_eq!(carry_out(&known(symbol), field, of_type, cpu, read), Ok(after), "{symbol} {field}");
    }
    for (symbol, field, cpu, problem) in [
        ("ktstr_knwn:known", "large", None, "module `ktstr_knwn` is not loaded; there is `ktstr_known`"),
        ("ktstr_known:knwn", "large", None, "module ktstr_known has no `knwn` (in `knwn`); there is `known`"),
        ("ktstr_known:known", "larg", None, "`known` has no `larg` (in `larg`); there is `large`"),
        ("ktstr_known:each", "", None, "`ktstr_known:each` cannot be read: each CPU has its own: name one with `cpu`"),
    ] {
        let refused = carry_out(symbol, field, None, cpu, Access::Read { expect: None });
        assert_eq!(refused, Err(problem.into()), "{symbol}");
    }
}

/// An initial RAM file system (Documentation/driver-api/early-userspace/buffer-format.rst) with what the guest runs.
fn archive(busybox: &[u8], module: &[u8]) -> Vec<u8> {
    let (executable, directory) = (0o100_755, 0o040_755);
    let entries: [(&str, u32, &[u8]); 6] = [
        ("proc", directory, &[]),
        ("sys", directory, &[]),
        ("busybox", executable, busybox),
        ("known.ko", executable, module),
        ("init", executable, INIT.as_bytes()),
        ("TRAILER!!!", 0, &[]),
    ];
    let mut archive = Vec::new();
    for ((name, mode, content), inode) in entries.into_iter().zip(1u32..) {
        let (bytes, length) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [inode, mode, 0, 0, 1, 0, bytes, 0, 0, 0, 0, length, 0].map(|field| format!("{field:08x}"));
        archive.extend([b"070701", fields.concat().as_bytes(), name.as_bytes(), b"\0"].concat());
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}
