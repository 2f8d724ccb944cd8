//! What is sampled in the cases of a declaration, and that its checks ask for nothing else.

use super::limits::out_of_range;
use crate::field::nearest;
use crate::monitor::SeriesSpec;
use crate::spec::{ChecksSpec, Switch, TestSpec};
use crate::{Bound, Check, FieldError, MonitorSpec, Origin};

const MS: u64 = 1_000_000;

/// What the host looks at: that of the test, with the variables that its scheduler brings in front; none: nothing.
pub(super) fn monitor(spec: &TestSpec) -> Result<Option<MonitorSpec>, FieldError> {
    let of_test = match &spec.monitor {
        Switch::Flag(false) => return Ok(None),
        Switch::Flag(true) => MonitorSpec::default(),
        Switch::Bound(monitor) => monitor.clone(),
    };
    for (name, value) in [("interval", of_test.interval), ("tasks", of_test.tasks)] {
        if !(MS..=10_000 * MS).contains(&value.0) {
            return Err(out_of_range(&format!("monitor.{name}"), value, "1ms to 10s"));
        }
    }
    let mut series: Vec<SeriesSpec> = Vec::new();
    let of_scheduler = spec.scheduler.iter().flat_map(|scheduler| &scheduler.series).enumerate();
    let of_scheduler = of_scheduler.map(|(i, one)| (format!("scheduler.series[{i}]"), one));
    let own = of_test.series.iter().enumerate().map(|(i, one)| (format!("monitor.series[{i}]"), one));
    for (path, one) in of_scheduler.chain(own) {
        let wrong = |field: &str, problem: String| FieldError::new(format!("{path}.{field}"), problem);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if one.name.is_empty() || !one.name.chars().all(plain) {
            return Err(wrong("name", format!("{:?} is no name", one.name)).hint("letters, digits, `_`"));
        }
        if series.iter().any(|other| other.name == one.name) {
            return Err(wrong("name", format!("{} stands there twice", one.name)));
        }
        if one.map.is_empty() {
            return Err(wrong("map", "is empty".into()));
        }
        series.push(one.clone());
    }
    Ok(Some(MonitorSpec { series, ..of_test }))
}

/// Whether what the layers of checks look at is sampled; `checks` are what they come to.
pub(super) fn checks(spec: &TestSpec, monitor: Option<&MonitorSpec>, checks: &[Check]) -> Result<(), FieldError> {
    let Some(monitor) = monitor else {
        let Some(check) = checks.iter().find(|check| check.bound.needs_samples()) else { return Ok(()) };
        let layer = if check.origin == Origin::Scheduler { "scheduler.checks" } else { "checks" };
        let field = if matches!(check.bound, Bound::OverTime(_)) { "over_time" } else { check.bound.name() };
        let problem = "the host has to look at the kernel for this, and monitor is false";
        return Err(FieldError::new(format!("{layer}.{field}"), problem).hint("leave monitor away, or false here, too"));
    };
    let scheduler = spec.scheduler.iter().map(|scheduler| (&scheduler.checks, "scheduler.checks"));
    scheduler.chain([(&spec.checks, "checks")]).try_for_each(|(layer, path)| names(layer, path, monitor))
}

/// The series that are named must be there.
fn names(layer: &ChecksSpec, path: &str, monitor: &MonitorSpec) -> Result<(), FieldError> {
    let Some(Switch::Bound(list)) = &layer.over_time else { return Ok(()) };
    let known = || monitor.series.iter().map(|series| series.name.as_str());
    let mut named =
        list.iter().enumerate().flat_map(|(i, holds)| holds.series().into_iter().map(move |of| (i, holds, of)));
    let Some((i, holds, (field, name))) = named.find(|(.., (_, name))| !known().any(|known| known == *name)) else {
        return Ok(());
    };
    let path = format!("{path}.over_time[{i}].{}.{field}", holds.name());
    let error = FieldError::new(path, format!("there is no series `{name}`"));
    Err(match (nearest(name, known()), known().collect::<Vec<_>>()) {
        (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
        (None, all) if all.is_empty() => error.hint("monitor.series, or series of the scheduler, would have it"),
        (None, all) => error.hint(format!("there are: {}", all.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::{cases, Facts};
    use crate::Nanos;

    fn resolve(more: &str) -> Result<MonitorSpec, String> {
        let json = format!(
            r#"{{"version": 1, "name": "t", "backend": "tcg", "clocks": ["virtual"], "scenario": [{{"hold": {{"seconds": 1}}}}],
            "topologies": [{{"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}], {more}}}"#
        );
        let spec = TestSpec::from_json(&json).map_err(|error| error.to_string())?;
        let case = cases(&spec, &Facts::default()).map_err(|error| error.to_string())?.remove(0);
        case.monitor.ok_or("nothing".into())
    }

    #[test]
    fn series_of_the_scheduler_come_first() {
        let scheduler = r#""scheduler": {"name": "s", "series": [{"name": "a", "map": "bss", "field": "a"}]}"#;
        let monitor = |series: &str| format!(r#"{scheduler}, "monitor": {{"interval": "5ms", "series": [{series}]}}"#);
        let seen = resolve(&monitor(r#"{"name": "b", "map": "m"}"#)).expect("can be");
        let names: Vec<_> = seen.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!((names, seen.interval, seen.tasks), (vec!["a", "b"], Nanos(5 * MS), Nanos(100 * MS)));
        assert_eq!(resolve(scheduler).map(|monitor| monitor.series.len()), Ok(1));
        let twice = resolve(&monitor(r#"{"name": "a", "map": "m"}"#));
        assert_eq!(twice, Err("monitor.series[0].name: a stands there twice".into()));
    }

    #[test]
    fn what_is_not_sampled_cannot_be_checked() {
        let series = r#""monitor": {"series": [{"name": "nr_queued", "map": "bss"}]}"#;
        let dsq =
            |name: &str| format!(r#""checks": {{"over_time": [{{"equals_sum_of_dsq": {{"series": "{name}"}}}}]}}"#);
        assert!(resolve(&format!("{series}, {}", dsq("nr_queued"))).is_ok());
        for (more, expected) in [
            (
                format!("{series}, {}", dsq("nr_qeued")),
                "checks.over_time[0].equals_sum_of_dsq.series: there is no series `nr_qeued`; did you mean `nr_queued`?",
            ),
            (
                dsq("x"),
                "checks.over_time[0].equals_sum_of_dsq.series: there is no series `x`; monitor.series, or series of the \
                 scheduler, would have it",
            ),
            (
                r#""monitor": false, "checks": {"max_imbalance": {"bound": 2, "samples": 5}}"#.into(),
                "checks.max_imbalance: the host has to look at the kernel for this, and monitor is false; leave monitor \
                 away, or false here, too",
            ),
            (
                format!(r#""monitor": false, "scheduler": {{"name": "s", {}}}"#, dsq("x")),
                "scheduler.checks.over_time: the host has to look at the kernel for this, and monitor is false; leave \
                 monitor away, or false here, too",
            ),
            (r#""monitor": {"interval": "1us"}"#.into(), "monitor.interval: 1us is out of range; 1ms to 10s"),
            (
                r#""monitor": {"series": [{"name": "a b", "map": "m"}]}"#.into(),
                "monitor.series[0].name: \"a b\" is no name; letters, digits, `_`",
            ),
            (
                r#""checks": {"max_dsq_depth": {"bound": 2, "samples": 0}}"#.into(),
                "checks.max_dsq_depth: Sustained { bound: 2, samples: 0 } is out of range; at least 1 sample in a row",
            ),
            (r#""checks": {"over_time": true}"#.into(), "checks.over_time: true is not a bound; a bound, or false"),
        ] {
            assert_eq!(resolve(&more), Err(expected.into()));
        }
        assert!(
            resolve(r#""monitor": false, "checks": {"max_imbalance": false}"#).is_err_and(|error| error == "nothing")
        );
    }
}
