//! Machines that start from a save: they go on where the guest stopped itself, and each has its own memory.

use crate::harness::{backend, clocks, on_kvm, one_cpu, until, Prepared, Save};
use ktstr_model::{Clock, Topology};
use ktstr_testing::micro_guest::{self, COUNT, COUNTED, KEPT, KEPT_VALUE, RESULT, STORED};
use ktstr_testing::MicroGuest;
use ktstr_vmm::{Exit, Gpa, Machine, SavedMachine};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

const RESULT_AT: Gpa = Gpa(RESULT as u64);
const KEPT_AT: Gpa = Gpa(KEPT as u64);

/// A save of a guest that goes on as `rest`, and machines that start from it.
struct Saver {
    guest: MicroGuest,
    topology: Topology,
    clock: Clock,
    save: Save,
}

impl Saver {
    fn new(rest: &MicroGuest, clock: Clock) -> Self {
        Self::with(rest, one_cpu(), clock)
    }

    fn with(rest: &MicroGuest, topology: Topology, clock: Clock) -> Self {
        let guest = micro_guest::save_then(rest);
        let save = Prepared::new(&guest).under(topology.clone(), clock).save();
        Self { guest, topology, clock, save }
    }

    fn clone(&self) -> Prepared {
        Prepared::new(&self.guest).under(self.topology.clone(), self.clock).from(&self.save)
    }

    fn exit(&self) -> Exit {
        self.clone().run().0
    }
}

#[test]
fn it_goes_on_behind_the_instruction_with_its_memory() {
    for clock in clocks() {
        let saver = Saver::new(&micro_guest::add_to_kept(), clock);
        // No clone sees what another one wrote: each adds 1 to the same word.
        for _ in 0..3 {
            assert_eq!(saver.exit(), Exit::Guest { code: (KEPT_VALUE as u8 & 0x7f) + 1 });
        }
    }
}

/// A word of a save.
fn word(save: &Save, at: u32) -> u32 {
    let ram = std::fs::File::open(save.directory.path().join("ram0")).expect("opens");
    let mut word = [0; 4];
    ram.read_exact_at(&mut word, u64::from(at)).expect("reads");
    u32::from_le_bytes(word)
}

#[test]
fn under_the_virtual_clock_it_is_saved_when_all_other_cpus_have_halted() {
    if on_kvm() {
        return;
    }
    // Behind a first save: the firmware does not halt for long, and then nobody is waited for.
    let topology = Topology::new(1, 1, 2, 1).expect("can be");
    let saver = Saver::with(&micro_guest::save_beside_a_count(), topology, Clock::Virtual);
    for save in 0..5 {
        // The emulator's main loop, which stops the machine, has waited for the second CPU.
        assert_eq!(word(&saver.clone().save(), COUNT), COUNTED, "save {save}");
    }
}

#[test]
fn a_machine_from_a_save_can_be_saved_again() {
    let kept = |save: &Save| word(save, KEPT) - KEPT_VALUE;
    for clock in clocks() {
        let saver = Saver::new(&micro_guest::add_and_save_then(&micro_guest::add_to_kept()), clock);
        let second = saver.clone().save();
        assert_eq!((kept(&saver.save), kept(&second)), (0, 1));
        for _ in 0..2 {
            assert_eq!(saver.clone().from(&second).run().0, Exit::Guest { code: 2 });
        }
        // One that is not to be saved runs past the second instruction.
        assert_eq!(saver.exit(), Exit::Guest { code: 2 });
    }
}

#[test]
fn clones_that_run_together_do_not_see_each_other() {
    for clock in clocks() {
        let saver = Saver::new(&micro_guest::count(), clock);
        let (first, second) = (saver.clone(), saver.clone());
        let (mut first, mut second) = (first.start(), second.start());
        let count = |machine: &dyn Machine| machine.memory().read_u64(RESULT_AT).expect("reads") & 0xffff_ffff;
        until("both count", || count(&*first) > 1000 && count(&*second) > 1000);
        second.pause().expect("pauses");
        let paused = count(&*second);
        let before = count(&*first);
        until("the first goes on", || count(&*first) != before);
        assert_eq!(count(&*second), paused);
        first.pause().expect("pauses");
        assert_eq!(first.memory().read_u64(KEPT_AT).expect("reads"), u64::from(KEPT_VALUE));
        let (mut kept, mut again) = ([0; 4], [0; 4]);
        first.memory().read_many(&mut [(KEPT_AT, &mut kept), (KEPT_AT, &mut again)]).expect("reads");
        assert_eq!([kept, again].map(u32::from_le_bytes), [KEPT_VALUE; 2]);
    }
}

#[test]
fn what_the_host_writes_stays_with_the_machine() {
    for clock in clocks() {
        let saver = Saver::new(&micro_guest::count(), clock);
        let (first, second) = (saver.clone(), saver.clone());
        let (first, second) = (first.start(), second.start());
        first.memory().write(KEPT_AT, &77u64.to_le_bytes()).expect("writes");
        let kept = |machine: &dyn Machine| machine.memory().read_u64(KEPT_AT).expect("reads");
        assert_eq!((kept(&*first), kept(&*second)), (77, u64::from(KEPT_VALUE)));
        drop(first);
        assert_eq!(word(&saver.save, KEPT), KEPT_VALUE, "it came into the save");
    }
}

#[test]
fn it_can_be_paused_looked_at_and_stopped() {
    let saver = Saver::with(&micro_guest::count(), Topology::new(1, 2, 2, 1).expect("can be"), Clock::Real);
    let prepared = saver.clone();
    let mut machine = prepared.start();
    let memory = machine.memory().clone();
    let count = || memory.read_u64(RESULT_AT).expect("reads");
    until("a count", || count() > 1000);
    machine.pause().expect("pauses");
    let paused = count();
    let cpus = machine.registers().expect("answers");
    assert_eq!(cpus.iter().map(|cpu| cpu.cpu).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(cpus.iter().any(|cpu| saver.guest.code_range().contains(&cpu.rip)), "{cpus:?}");
    assert_eq!(machine.wait(Duration::from_millis(100)).expect("can be watched"), None);
    assert_eq!(count(), paused);
    machine.resume().expect("resumes");
    until("progress", || count() != paused);
    assert_eq!(machine.stop().expect("stops"), Exit::Stopped);
    drop(machine);
    // What was private to another process went with it.
    assert_eq!(memory.read_u64(RESULT_AT).is_ok(), on_kvm());
}

#[test]
fn it_can_be_started_from_a_directory_that_cannot_be_written() {
    let saver = Saver::new(&micro_guest::add_to_kept(), Clock::Real);
    let directory = saver.save.directory.path();
    let allow = |files: u32, itself: u32| {
        for entry in std::fs::read_dir(directory).expect("reads") {
            let path = entry.expect("reads").path();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(files)).expect("sets");
        }
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(itself)).expect("sets");
    };
    let before = digests(directory);
    allow(0o444, 0o555);
    assert_eq!(saver.exit(), Exit::Guest { code: 1 });
    assert_eq!(digests(directory), before);
    allow(0o644, 0o755);
}

fn digests(directory: &Path) -> String {
    SavedMachine::open(directory).expect("is whole");
    std::fs::read_to_string(directory.join("saved.json")).expect("reads")
}

#[test]
fn its_window_is_its_own() {
    for clock in clocks() {
        let at = backend().window_at(&one_cpu());
        let guest = micro_guest::save_then(&micro_guest::window(at.0));
        let prepared = |content: u64| Prepared::new(&guest).with_window(&content.to_le_bytes()).under(one_cpu(), clock);
        let booted = prepared(7);
        let save = booted.save();
        for content in [41, 99] {
            let prepared = prepared(content).from(&save);
            let (exit, machine) = prepared.run();
            assert_eq!(exit, Exit::Guest { code: 0 });
            let file = std::fs::read(prepared.window()).expect("reads");
            assert_eq!(file.get(0x1000..0x1008), Some(&(content + 1).to_le_bytes()[..]));
            assert_eq!(machine.memory().read_u64(Gpa(at.0 + 0x1000)).expect("reads after the end"), content + 1);
        }
        let file = std::fs::read(booted.window()).expect("reads");
        assert_eq!(file.get(0x1000..0x1008), Some(&[0; 8][..]), "a clone wrote to the window of the save");
    }
}

#[test]
fn its_console_has_only_what_it_wrote() {
    for clock in clocks() {
        let saver = Saver::new(&micro_guest::print("hello\r\n"), clock);
        for _ in 0..2 {
            let (exit, mut machine) = saver.clone().run();
            assert_eq!(exit, Exit::Guest { code: 0 });
            assert_eq!(String::from_utf8(machine.console().expect("reads")).expect("text"), "hello\r\n");
        }
    }
}

#[test]
fn every_end_is_told_apart() {
    let panic = "[    4.2] Kernel panic - not syncing: Attempted to kill init!\r\n";
    for clock in clocks() {
        let exit = |rest: &MicroGuest| Saver::new(rest, clock).exit();
        assert_eq!(exit(&micro_guest::exit(3)), Exit::Guest { code: 3 });
        assert_eq!(exit(&micro_guest::power_off()), Exit::PowerOff);
        assert_eq!(exit(&micro_guest::reset()), Exit::Reboot);
        assert_eq!(exit(&micro_guest::triple_fault()), Exit::TripleFault);
        let expected = Exit::Panic { message: "Attempted to kill init!".into() };
        assert_eq!(exit(&micro_guest::print_and_reset(panic)), expected);
    }
}

#[test]
fn a_second_save_instruction_does_nothing() {
    for clock in clocks() {
        let saver = Saver::new(&micro_guest::save_then(&micro_guest::exit(5)), clock);
        assert_eq!(saver.exit(), Exit::Guest { code: 5 });
    }
    // Nor does one on a machine that was booted for something else.
    let exit = crate::harness::exit_of(&micro_guest::save_then(&micro_guest::exit(6)));
    assert_eq!(exit, Exit::Guest { code: 6 });
}

#[test]
fn every_topology_comes_back() {
    let topology = |nodes, llcs, cores, threads| Topology::new(nodes, llcs, cores, threads).expect("can be");
    // The last has APIC ids that take interrupt remapping, which has a state of its own.
    for topology in [topology(1, 2, 2, 2), topology(2, 2, 2, 1), topology(1, 9, 17, 1)] {
        for clock in clocks().into_iter().filter(|clock| topology.cpus() <= backend().capabilities().cpus_max(*clock)) {
            let saver = Saver::with(&micro_guest::store(), topology.clone(), clock);
            let prepared = saver.clone();
            let mut machine = prepared.start();
            until("the stored word", || machine.memory().read_u64(RESULT_AT).expect("reads") == STORED);
            assert_eq!(machine.registers().expect("answers").len(), topology.cpus() as usize);
        }
    }
}

#[test]
fn equal_starts_are_equal_runs_under_the_virtual_clock() {
    if on_kvm() {
        return;
    }
    let saver = Saver::new(&micro_guest::time_and_hang(), Clock::Virtual);
    // The guest's time before and after its loop. It hangs behind it, because its memory ends with the machine.
    let stamps = || {
        let prepared = saver.clone();
        let machine = prepared.start();
        let read = |offset| machine.memory().read_u64(Gpa(RESULT_AT.0 + offset)).expect("reads");
        until("both stamps", || read(8) != 0);
        (read(0), read(8))
    };
    let first = stamps();
    assert!((8_000_000..8_001_000).contains(&(first.1 - first.0)), "{first:?}");
    for round in 0..20 {
        assert_eq!(stamps(), first, "start {round}");
    }
}

#[test]
fn two_saves_have_equal_memory() {
    let digest = || {
        let clock = clocks().into_iter().next_back().expect("a clock");
        let saver = Saver::new(&micro_guest::exit(0), clock);
        let text = std::fs::read(saver.save.directory.path().join("saved.json")).expect("reads");
        let saved: serde_json::Value = serde_json::from_slice(&text).expect("is JSON");
        saved.pointer("/files/0/sha256").expect("has the digest of ram0").clone()
    };
    assert_eq!(digest(), digest());
}
