//! Which of a test's machines: its first case, or the one that the command line names.

use ktstr_model::Case;

/// A case, and what to say of the choice.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) case: &'a Case,
    /// Options that would have taken another machine, if none of them was given.
    pub(super) others: Vec<String>,
}

/// The first of `cases` that has this topology and this flag profile.
///
/// # Errors
/// What there is instead.
pub(super) fn choose<'a>(
    cases: &'a [Case],
    topology: Option<&str>,
    profile: Option<&str>,
) -> Result<Chosen<'a>, String> {
    let topologies = distinct(cases.iter().map(|case| case.topology.to_string()));
    let profiles = distinct(cases.iter().filter_map(|case| case.profile.clone()));
    if let Some(wanted) = topology.filter(|wanted| !topologies.iter().any(|label| label == wanted)) {
        return Err(format!("--topology: the test has no {wanted:?}; it has {}", topologies.join(", ")));
    }
    match profile {
        Some(wanted) if profiles.is_empty() => {
            return Err(format!("--profile: the test has no flag profiles, and so no {wanted:?}"));
        }
        Some(wanted) if !profiles.iter().any(|name| name == wanted) => {
            return Err(format!("--profile: the test has no {wanted:?}; it has {}", profiles.join(", ")));
        }
        _ => {}
    }
    let fits = |case: &&Case| {
        topology.is_none_or(|label| case.topology.to_string() == label)
            && profile.is_none_or(|name| case.profile.as_deref() == Some(name))
    };
    let case = cases.iter().find(fits).ok_or("the test has no cases")?;
    let others = |option: &str, given: Option<&str>, names: &[String], taken: Option<String>| {
        let rest: Vec<&str> = names.iter().filter(|name| Some(*name) != taken.as_ref()).map(String::as_str).collect();
        (given.is_none() && !rest.is_empty()).then(|| format!("{option} {}", rest.join(" or ")))
    };
    let of_topology = others("--topology", topology, &topologies, Some(case.topology.to_string()));
    let of_profile = others("--profile", profile, &profiles, case.profile.clone());
    Ok(Chosen { case, others: of_topology.into_iter().chain(of_profile).collect() })
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::resolve::{cases, Facts};
    use ktstr_model::TestSpec;

    fn of(scheduler: &str) -> Vec<Case> {
        let machine =
            |llcs| format!(r#"{{"numa_nodes": 1, "llcs": {llcs}, "cores_per_llc": 1, "threads_per_core": 1}}"#);
        let spec = format!(
            r#"{{"version": 1, "name": "t", "backend": "tcg", "clocks": ["virtual", "virtual"], "topologies": [{}, {}],
                "seeds": 3, "scenario": [{{"hold": {{"seconds": 1}}}}] {scheduler}}}"#,
            machine(1),
            machine(2)
        );
        cases(&TestSpec::from_json(&spec).expect("reads"), &Facts::default()).expect("can be")
    }

    #[test]
    fn the_first_one_unless_another_is_named() {
        let scheduler = r#", "scheduler": {"name": "scx_x", "profiles": [{"name": "default"}, {"name": "llc"}]}"#;
        let cases = of(scheduler);
        let chosen = choose(&cases, None, None).expect("there is one");
        assert_eq!(chosen.case.name, "t[1n1l1c1t][default][s0]");
        assert_eq!(chosen.others, ["--topology 1n2l1c1t", "--profile llc"]);
        let chosen = choose(&cases, Some("1n2l1c1t"), Some("llc")).expect("there is one");
        assert_eq!((chosen.case.name.as_str(), chosen.others.len()), ("t[1n2l1c1t][llc][s0]", 0));
        let refused = |topology, profile| choose(&cases, topology, profile).expect_err("refused");
        assert_eq!(
            refused(Some("1n4l1c1t"), None),
            "--topology: the test has no \"1n4l1c1t\"; it has 1n1l1c1t, 1n2l1c1t"
        );
        assert_eq!(refused(None, Some("steal")), "--profile: the test has no \"steal\"; it has default, llc");
        let error = choose(&of(""), None, Some("llc")).expect_err("refused");
        assert_eq!(error, "--profile: the test has no flag profiles, and so no \"llc\"");
    }
}
