//! Ops that the host does, as far as they can be judged without the kernel: `OpSpec ──host_op──▶ HostOp`.

use super::cpusets;
use super::limits::out_of_range;
use crate::host_op::{Access, HostOp, KernelVariable, Variable};
use crate::monitor::SeriesSpec;
use crate::spec::OpSpec;
use crate::{FieldError, MonitorSpec, Topology};

/// The op that stands at `path`, which is one of the host's.
pub(super) fn host_op(op: &OpSpec, step: u32, path: &str, topology: &Topology) -> Result<HostOp, FieldError> {
    let in_map = |map: &String, field: &String, key, of_all| {
        Variable::Map(SeriesSpec { name: String::new(), map: map.clone(), field: field.clone(), key, of_all })
    };
    let in_kernel = |symbol: &String, field: &String, of_type: &Option<String>, cpu| {
        let (symbol, field) = (symbol.clone(), field.clone());
        Variable::Kernel(KernelVariable { symbol, field, of_type: of_type.clone(), cpu })
    };
    let (kind, variable, access) = match op {
        OpSpec::ReadMap { map, field, key, of_all, expect } => {
            ("read_map", in_map(map, field, *key, *of_all), Access::Read { expect: *expect })
        }
        OpSpec::WriteMap { map, field, key, value } => {
            ("write_map", in_map(map, field, *key, None), Access::Write(*value))
        }
        OpSpec::ReadKernel { symbol, field, of_type, cpu, expect } => {
            ("read_kernel", in_kernel(symbol, field, of_type, *cpu), Access::Read { expect: *expect })
        }
        OpSpec::WriteKernel { symbol, field, of_type, cpu, value } => {
            ("write_kernel", in_kernel(symbol, field, of_type, *cpu), Access::Write(*value))
        }
        _ => return Err(FieldError::new(path, "is nothing that the host does")),
    };
    let op = HostOp { step, path: format!("{path}.{kind}"), variable, access };
    check(&op, topology)?;
    Ok(op)
}

fn check(op: &HostOp, topology: &Topology) -> Result<(), FieldError> {
    let at = |field: &str| format!("{}.{field}", op.path);
    match &op.variable {
        Variable::Map(SeriesSpec { map, .. }) if map.is_empty() => return Err(FieldError::new(at("map"), "is empty")),
        Variable::Map(SeriesSpec { map, .. }) if map == "rodata" && matches!(op.access, Access::Write(_)) => {
            let problem = "rodata is only read: the kernel's verifier has taken its values for constants";
            return Err(FieldError::new(at("map"), problem).hint("a variable that is not `const`"));
        }
        Variable::Kernel(KernelVariable { symbol, .. }) if symbol.is_empty() => {
            return Err(FieldError::new(at("symbol"), "is empty"));
        }
        Variable::Kernel(KernelVariable { symbol, .. }) if !is_symbol(symbol) => {
            let problem = format!("`{symbol}` is neither a symbol nor MODULE:SYMBOL");
            return Err(FieldError::new(at("symbol"), problem).hint("one colon, with a name on either side"));
        }
        Variable::Kernel(KernelVariable { cpu: Some(cpu), .. }) => {
            cpusets::exact(&[*cpu], topology, &at("cpu"))?;
        }
        _ => {}
    }
    let (field, number) = match op.access {
        Access::Read { expect } => ("expect", expect.unwrap_or_default()),
        Access::Write(value) => ("value", value),
    };
    if number < i64::MIN.into() || number > u64::MAX.into() {
        return Err(out_of_range(&at(field), number, "a number of 64 bits"));
    }
    Ok(())
}

/// Of the kernel, or `MODULE:SYMBOL`.
fn is_symbol(symbol: &str) -> bool {
    let names: Vec<&str> = symbol.split(':').collect();
    names.len() <= 2 && names.iter().all(|name| !name.is_empty())
}

/// Whether somebody is there to do them.
pub(super) fn are_possible(ops: &[HostOp], monitor: Option<&MonitorSpec>) -> Result<(), FieldError> {
    let Some(op) = ops.first().filter(|_| monitor.is_none()) else { return Ok(()) };
    let problem = "the host has to look at the kernel for this, and monitor is false";
    Err(FieldError::new(&op.path, problem).hint("leave monitor away"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::resolve::{cases, Facts};
    use crate::{Case, TestSpec};

    fn resolve(scenario: &str, more: &str) -> Result<Case, String> {
        let json = format!(
            r#"{{"version": 1, "name": "t", "backend": "tcg", "clocks": ["virtual"], "scenario": [{scenario}],
            "topologies": [{{"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}]{more}}}"#
        );
        let spec = TestSpec::from_json(&json).map_err(|error| error.to_string())?;
        assert_eq!(TestSpec::from_json(&spec.to_json()).as_ref(), Ok(&spec));
        cases(&spec, &Facts::default()).map(|mut cases| cases.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn they_are_numbered_over_the_case_in_the_order_in_which_they_come() {
        let scenario = r#"{"ops": [
                {"read_map": {"map": "bss", "field": "a.b", "expect": -5}},
                {"write_map": {"map": "m", "key": 8, "value": 18446744073709551615}}], "hold": {"seconds": 1}},
            {"hold": {"loop": {"every": "1ms", "times": 2, "ops": [
                {"read_kernel": {"symbol": "runqueues", "field": "curr->pid", "cpu": 1}},
                {"write_kernel": {"symbol": "x", "of_type": "u64", "value": 1}}]}}}"#;
        let case = resolve(scenario, "").expect("can be");
        let seen: Vec<_> = case.host_ops.iter().map(|op| format!("{} {}: {op}", op.step, op.path)).collect();
        let looped = [
            "1 scenario[1].hold.loop.ops[0].read_kernel: read runqueues.curr->pid of CPU 1",
            "1 scenario[1].hold.loop.ops[1].write_kernel: write 1 to x",
        ];
        let first = [
            "0 scenario[0].ops[0].read_map: read a.b of map bss",
            "0 scenario[0].ops[1].write_map: write 18446744073709551615 to map m[8]",
        ];
        assert_eq!(seen, [&first[..], &looped, &looped].concat());
        assert_eq!(case.host_ops[0].access, Access::Read { expect: Some(-5) });
        let actions = case.plan.steps.iter().flat_map(|step| &step.actions);
        let numbers: Vec<_> =
            actions.filter_map(|action| if let Action::Host { op } = action { Some(*op) } else { None }).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_path() {
        for (op, more, expected) in [
            (r#"{"read_map": {"map": ""}}"#, "", "read_map.map: is empty"),
            (r#"{"read_kernel": {"symbol": ""}}"#, "", "read_kernel.symbol: is empty"),
            (
                r#"{"read_kernel": {"symbol": "kvm:"}}"#,
                "",
                "read_kernel.symbol: `kvm:` is neither a symbol nor MODULE:SYMBOL; one colon, with a name on either side",
            ),
            (
                r#"{"read_kernel": {"symbol": "a:b:c"}}"#,
                "",
                "read_kernel.symbol: `a:b:c` is neither a symbol nor MODULE:SYMBOL; one colon, with a name on either side",
            ),
            (
                r#"{"write_map": {"map": "rodata", "field": "x", "value": 1}}"#,
                "",
                "write_map.map: rodata is only read: the kernel's verifier has taken its values for constants; a variable \
                 that is not `const`",
            ),
            (
                r#"{"read_kernel": {"symbol": "runqueues", "cpu": 2}}"#,
                "",
                "read_kernel.cpu: CPU 2 is not on 1n1l2c1t; its CPUs are 0 to 1",
            ),
            (
                r#"{"write_kernel": {"symbol": "x", "value": 18446744073709551616}}"#,
                "",
                "write_kernel.value: 18446744073709551616 is out of range; a number of 64 bits",
            ),
            (
                r#"{"read_map": {"map": "m"}}"#,
                r#", "monitor": false"#,
                "read_map: the host has to look at the kernel for this, and monitor is false; leave monitor away",
            ),
        ] {
            let refused = resolve(&format!(r#"{{"ops": [{op}], "hold": {{"seconds": 1}}}}"#), more);
            assert_eq!(refused.map(|case| case.name), Err(format!("scenario[0].ops[0].{expected}")));
        }
    }
}
