//! What a save under the real clock has of its host.

/// The host's processor, whose time stamp counter the guest has measured.
///
/// Under the real clock the guest reads the host's counter (QEMU 10.0, include/qemu/timer.h, `cpu_get_host_ticks`), and a kernel that was
/// saved keeps the rate that it measured at its boot. The model's name stands for that rate, which is the same for all processors of
/// one model.
pub(crate) fn real_clock_host() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    model_name(&text).unwrap_or("a processor without a name").to_owned()
}

fn model_name(cpu_info: &str) -> Option<&str> {
    let line = cpu_info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_model_is_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2.60GHz\nflags\t: a\n";
        assert_eq!(super::model_name(text), Some("Some CPU @ 2.60GHz"));
        assert_eq!(super::model_name("processor : 0\n"), None);
    }
}
