//! The command lines of some machines.

use super::*;
use crate::Start;
use ktstr_model::topology::TopologySpec;
use ktstr_model::Mebibytes;

fn spec(topology: &Topology, clock: Clock) -> MachineSpec {
    MachineSpec {
        start: Start::Boot,
        topology: topology.clone(),
        clock,
        virtualization: false,
        placement: ktstr_model::Placement::default(),
        seed: 7,
        instants: None,
        kernel: "k".into(),
        initramfs: None,
        command_line: String::new(),
        window: None,
        directory: "d".into(),
    }
}

fn line(topology: &Topology, clock: Clock, window: Option<(RawFd, u64)>) -> String {
    let boot = Boot { kernel: Path::new("/k/a,b"), initramfs: Some(Path::new("/i")), command_line: "quiet a=b" };
    let inherited = Inherited { control: 9, ram: (20..20 + topology.numa_nodes() as RawFd).collect(), window };
    let words = arguments(&spec(topology, clock), Origin::Boot(boot), &inherited);
    let text = words.join(OsStr::new(" ")).into_string().expect("text");
    text.replace(" -", "\n-")
}

#[test]
fn one_node_with_a_window_under_the_real_clock() {
    let topology = Topology::new(1, 2, 2, 2).expect("can be");
    let expected = "-nodefaults
-no-user-config
-display none
-no-reboot
-S
-chardev socket,id=control,fd=9,server=off
-mon chardev=control,mode=control
-chardev file,id=console,path=console
-serial chardev:console
-device isa-debug-exit,iobase=0xf4,iosize=4
-d cpu_reset
-D resets.log
-M q35,smm=off,sata=off,smbus=off,i8042=off,vmport=off,memory-backend=ram0,nvdimm=on
-cpu SapphireRapids
-smp 8,sockets=1,dies=2,cores=2,threads=2
-m 1024M,slots=1,maxmem=2048M
-object memory-backend-file,id=ram0,size=1073741824,mem-path=/proc/self/fd/20,share=on
-object memory-backend-file,id=window,size=67108864,mem-path=/proc/self/fd/30,share=on
-device nvdimm,memdev=window,id=nvdimm-window
-accel tcg,thread=multi
-kernel /k/a,b
-initrd /i
-append quiet a=b";
    assert_eq!(line(&topology, Clock::Real, Some((30, 64 << 20))), expected);
}

#[test]
fn nodes_have_their_own_memory_cpus_and_distances() {
    let spec = TopologySpec {
        numa_nodes: 2,
        llcs: 4,
        cores_per_llc: 2,
        threads_per_core: 1,
        memory: Some(Mebibytes(1025)),
        distances: Some(vec![vec![10, 32], vec![20, 10]]),
    };
    let line = line(&spec.resolve("t").expect("can be"), Clock::Virtual, None);
    let expected = "-M q35,smm=off,sata=off,smbus=off,i8042=off,vmport=off
-cpu SapphireRapids
-smp 8,sockets=2,dies=2,cores=2,threads=1
-m 1025M,slots=1,maxmem=2049M
-object memory-backend-file,id=ram0,size=537919488,mem-path=/proc/self/fd/20,share=on
-object memory-backend-file,id=ram1,size=536870912,mem-path=/proc/self/fd/21,share=on
-numa node,nodeid=0,memdev=ram0
-numa node,nodeid=1,memdev=ram1
-numa cpu,node-id=0,socket-id=0
-numa cpu,node-id=1,socket-id=1
-numa dist,src=0,dst=1,val=32
-numa dist,src=1,dst=0,val=20
-accel tcg,thread=single
-icount shift=3,sleep=off
-rtc base=2026-01-01T00:00:00,clock=vm
-seed 7
-name debug-threads=on
-kernel";
    assert!(line.contains(expected), "{line}");
}

#[test]
fn a_save_can_be_stopped_by_its_guest_and_what_starts_from_it_shares_nothing() {
    let topology = Topology::new(1, 1, 1, 1).expect("can be");
    let inherited = Inherited { control: 9, ram: vec![20], window: None };
    let words = |origin| {
        let words = arguments(&spec(&topology, Clock::Virtual), origin, &inherited);
        words.join(OsStr::new(" ")).into_string().expect("text")
    };
    let save = words(Origin::Save(Boot { kernel: Path::new("/k"), initramfs: None, command_line: "quiet" }));
    let expected = "-device pvpanic,ioport=0x505,events=1 -action panic=pause -kernel /k -append quiet";
    assert!(save.ends_with(expected) && save.contains("mem-path=/proc/self/fd/20,share=on "), "{save}");
    let saved = words(Origin::Saved { stub: 30 });
    assert!(saved.ends_with("-seed 7 -name debug-threads=on -incoming defer -kernel /proc/self/fd/30"), "{saved}");
    assert!(saved.contains("mem-path=/proc/self/fd/20,share=off,readonly=on,rom=off "), "{saved}");
    // A save of what started from a save: both.
    let next = words(Origin::SavedToSave { stub: 30 });
    let expected = "-device pvpanic,ioport=0x505,events=1 -action panic=pause -incoming defer -kernel /proc/self/fd/30";
    assert!(next.ends_with(expected) && next.contains("mem-path=/proc/self/fd/20,share=on "), "{next}");
}

#[test]
fn the_identity_of_a_machine_holds_what_its_saves_depend_on() {
    let topology = Topology::new(2, 2, 2, 1).expect("can be");
    let expected = "-M q35,smm=off,sata=off,smbus=off,i8042=off,vmport=off,nvdimm=on
-cpu SapphireRapids
-smp 4,sockets=2,dies=1,cores=2,threads=1
-m 1024M,slots=1,maxmem=2048M
-numa node,nodeid=0,memdev=ram0
-numa node,nodeid=1,memdev=ram1
-numa cpu,node-id=0,socket-id=0
-numa cpu,node-id=1,socket-id=1
-accel tcg,thread=single
-icount shift=3,sleep=off
-rtc base=2026-01-01T00:00:00,clock=vm";
    let machine = spec(&topology, Clock::Virtual);
    assert_eq!(identity(&machine, true).join("\n"), expected);
    // A save of the one does not fit the other.
    let with_svm = identity(&MachineSpec { virtualization: true, ..machine }, true);
    assert_eq!(with_svm.get(1).map(String::as_str), Some("-cpu max,+svm,family=23,model=49,stepping=0"));
}

#[test]
fn apic_ids_beyond_eight_bits_get_interrupt_remapping() {
    let with = |topology: Topology| line(&topology, Clock::Real, None).contains("intel-iommu,intremap=on,eim=on");
    assert!(with(Topology::new(1, 14, 9, 2).expect("can be")));
    assert!(!with(Topology::new(1, 14, 8, 2).expect("can be")));
}
