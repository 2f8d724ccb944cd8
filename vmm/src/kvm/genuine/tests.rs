use super::*;

fn runs_it(modules: &[&str], flags: &str) -> RunsIt {
    RunsIt::from(modules.iter().map(|&name| name.to_owned()), &format!("processor : 0\nflags\t\t: fpu {flags}\n"))
}

#[test]
fn the_ratio_decides() {
    assert_eq!(decide(Ok(1.1)).name(), "genuine");
    assert_eq!(decide(Ok(29.0)).name(), "genuine");
    assert_eq!(decide(Ok(30.0)).name(), "software");
    assert_eq!(decide(Err(Kvm::Denied)), Kvm::Denied);
}

#[test]
fn a_device_that_cannot_be_opened_is_told_apart() {
    let of = |error: i32| not_opened(&io::Error::from_raw_os_error(error)).name();
    assert_eq!([2, 19, 6, 13, 1, 24].map(of), ["absent", "absent", "absent", "denied", "denied", "broken"]);
}

#[test]
fn each_answer_says_what_it_saw_and_what_to_do() {
    let (pvm, amd, none) =
        (runs_it(&["kvm", "kvm_pvm"], ""), runs_it(&["kvm_amd", "kvm", "ext4"], "svm"), runs_it(&["ext4"], ""));
    let broken = Kvm::Broken { doing: "make a machine", problem: "No space".into() };
    for (kvm, runs_it, text) in [
        (
            Kvm::Software { ratio: 480.3 },
            &pvm,
            "/dev/kvm is software virtualization (kvm_pvm), 480 times slower than the host",
        ),
        (Kvm::Genuine { ratio: 1.04 }, &amd, "/dev/kvm is genuine (kvm_amd), 1.0 times the host's time"),
        (Kvm::Absent, &none, "there is no /dev/kvm, and the CPU shows neither vmx nor svm; in a virtual machine, have"),
        (Kvm::Absent, &amd, "there is no /dev/kvm, though the CPU has svm; load the module kvm_amd, or"),
        (
            Kvm::Absent,
            &runs_it(&[], "vmx"),
            "there is no /dev/kvm, though the CPU has vmx; load the module kvm_intel, or",
        ),
        (Kvm::Denied, &amd, "this process may not open /dev/kvm; add its user to"),
        (Kvm::Version(11), &amd, "/dev/kvm (kvm_amd) has version 11 of the interface; 12 would do"),
        (broken, &none, "/dev/kvm (no module of that name) does not work: cannot make a machine: No space; "),
    ] {
        let said = Answer { kvm, runs_it: runs_it.clone() }.to_string();
        assert!(said.starts_with(text), "{said}");
    }
}

#[test]
fn a_look_at_this_host_comes_to_an_end() {
    let since = Instant::now();
    let answer = look();
    println!("{answer}: {:?}", since.elapsed());
    assert_eq!(answer.kvm.ratio().is_some(), matches!(answer.kvm.name(), "genuine" | "software"));
}
