//! Saves that cannot be made or do not fit, and why.

use crate::harness::{backend, on_kvm, one_cpu, Prepared, Save};
use ktstr_model::{Clock, Topology};
use ktstr_testing::micro_guest;
use ktstr_testing::MicroGuest;
use ktstr_vmm::SavedMachine;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn guest() -> MicroGuest {
    micro_guest::save_then(&micro_guest::exit(0))
}

fn refusal(prepared: &Prepared) -> String {
    match backend().start(&prepared.spec) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("started"),
    }
}

fn save_refusal(guest: &MicroGuest) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    backend().save(&Prepared::new(guest).spec, directory.path(), &mut |_| None).expect_err("saved").to_string()
}

#[test]
fn a_guest_that_ends_instead() {
    let error = save_refusal(&micro_guest::exit(3));
    let how = if on_kvm() { "the guest ended with exit code 3" } else { "exit status: 7" };
    let expected = format!("the guest was to stop itself for a save, and the machine ended ({how})");
    assert!(error.starts_with(&expected), "{error}");
    let error = save_refusal(&micro_guest::print_and_reset("no init\r\n"));
    assert!(error.ends_with("its console ends with: no init\r\n"), "{error}");
}

#[test]
fn a_guest_that_is_given_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let prepared = Prepared::new(&micro_guest::count());
    let mut give_up = |cpu: std::time::Duration| (!cpu.is_zero()).then(|| "it was too slow".to_owned());
    let error = backend().save(&prepared.spec, directory.path(), &mut give_up).expect_err("saved").to_string();
    assert!(error.starts_with("the guest was to stop itself for a save, and it was too slow; "), "{error}");
}

#[test]
fn a_kernel_that_panicked() {
    let error = save_refusal(&micro_guest::print_and_save("Kernel panic - not syncing: no init\r\n"));
    assert!(error.starts_with("the guest was to stop itself for a save, and the kernel panicked: no init;"), "{error}");
}

#[test]
fn another_machine() {
    let save = Prepared::new(&guest()).save();
    let prepared = || Prepared::new(&guest()).from(&save);
    let error = refusal(&prepared().under(Topology::new(1, 1, 2, 1).expect("can be"), Clock::Real));
    let expected = match on_kvm() {
        true => "does not fit: the machine is `topology {\"numa_nodes\":1,\"llcs\":1,\"cores_per_llc\":2,",
        false => {
            "does not fit: the machine is `-smp 2,sockets=1,dies=1,cores=2,threads=1` here, and was \
            `-smp 1,sockets=1,dies=1,cores=1,threads=1` when it was saved"
        }
    };
    assert!(error.contains(expected), "{error}");
    if on_kvm() {
        let error = refusal(&prepared().with_window(b""));
        assert!(error.contains("the window is 67108864 bytes here, and was none"), "{error}");
        return;
    }
    let error = refusal(&prepared().under(one_cpu(), Clock::Virtual));
    assert!(error.contains("the machine is `-accel tcg,thread=single` here"), "{error}");
    let mut host = prepared();
    host.spec.virtualization = true;
    assert!(refusal(&host).contains("the machine is `-cpu max,+svm,"), "{}", refusal(&host));
    let error = refusal(&prepared().with_window(b""));
    assert!(error.contains("nvdimm=on` here"), "{error}");
}

/// The error of a start from a save whose `saved.json` has `from` replaced by `to`.
fn refusal_of_edited(from: &str, to: &str) -> String {
    let save = Prepared::new(&guest()).save();
    let path = save.directory.path().join("saved.json");
    let text = std::fs::read_to_string(&path).expect("reads");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).expect("writes");
    match SavedMachine::open(save.directory.path()) {
        Ok(saved) => refusal(&Prepared::new(&guest()).from(&Save { saved, ..save })),
        Err(error) => error.to_string(),
    }
}

#[test]
fn another_emulator_host_or_format() {
    let name = if on_kvm() { "ktstr KVM " } else { "QEMU " };
    let error = refusal_of_edited(name, &format!("{name}1"));
    assert!(error.contains(&format!("the emulator is {name}")), "{error}");
    let error = refusal_of_edited("\"host\": \"", "\"host\": \"not ");
    assert!(error.contains("the host's processor is"), "{error}");
    let error = refusal_of_edited("\"format\": 1", "\"format\": 2");
    assert!(error.contains("it has format 2, and 1 would do"), "{error}");
}

#[test]
fn a_damaged_one() {
    let damage = |name: &str, work: &dyn Fn(&Path)| {
        let save = Prepared::new(&guest()).save();
        work(&save.directory.path().join(name));
        SavedMachine::open(save.directory.path()).expect_err("opened").to_string()
    };
    let flip = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).expect("opens");
        file.write_all_at(b"?", 0x30_0000 - 1).expect("writes");
    };
    let shorten = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).expect("opens");
        file.set_len(4096).expect("shrinks");
    };
    let error = damage("ram0", &flip);
    assert!(error.starts_with("the saved machine is damaged: ") && error.contains("/ram0 has "), "{error}");
    assert!(damage("state", &shorten).contains("/state has 4096 bytes"));
    let error = damage("state", &|path| std::fs::remove_file(path).expect("removes"));
    assert!(error.starts_with("cannot read "), "{error}");
}

#[test]
fn a_directory_that_holds_another_save() {
    let prepared = Prepared::new(&guest());
    let save = prepared.save();
    let error = backend().save(&prepared.spec, save.directory.path(), &mut |_| None).expect_err("saved").to_string();
    assert!(error.starts_with("cannot write ") && error.contains("/ram0 of the saved machine"), "{error}");
}
