//! Numbers for people: four digits at most after rounding, one unit.

/// A duration: `812.3ms`, `2s`, `950ns`.
pub(crate) fn nanos(ns: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    let value = ns as f64;
    // A value that would round up to 1000 of a unit is one of the next.
    match UNITS.iter().find(|(factor, _)| value >= factor * 0.99995) {
        Some((factor, unit)) => format!("{}{unit}", digits(value / factor)),
        None => format!("{ns}ns"),
    }
}

/// A part of a whole: `2.1%`.
pub(crate) fn percent(part: f64) -> String {
    format!("{}%", digits(part * 100.0))
}

/// Events per second: `1234/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", digits(per_second))
}

/// A count with its noun: `1 worker`, `3 workers`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Four digits, without zeros at the end of the fraction.
pub(crate) fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 999.95 => 0,
        large if large >= 99.995 => 1,
        large if large >= 9.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        let all = [
            0,
            999,
            1_000,
            12_345,
            999_960,
            812_300_000,
            999_999_999,
            2_000_000_000,
            12_345_600_000,
            3_600_000_000_000,
        ];
        let texts = all.map(nanos);
        assert_eq!(texts, ["0ns", "999ns", "1us", "12.35us", "1ms", "812.3ms", "1s", "2s", "12.35s", "3600s"]);
    }

    #[test]
    fn parts_and_rates() {
        assert_eq!([0.0, 0.021, 0.15, 2.0].map(percent), ["0%", "2.1%", "15%", "200%"]);
        assert_eq!([0.0, 0.5, 1234.5, 1e6].map(rate), ["0/s", "0.5/s", "1234/s", "1000000/s"]);
        assert_eq!([count(1, "worker"), count(0, "worker")], ["1 worker", "0 workers"]);
    }
}
