//! `report.json`: the whole report as data, for other programs.

use super::TargetReport;

pub(super) fn render(report: &TargetReport) -> Vec<u8> {
    // Plain data with string keys; a number that is not finite becomes null.
    let mut json = serde_json::to_vec_pretty(report).unwrap_or_default();
    json.push(b'\n');
    json
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;

    #[test]
    fn reads_back() {
        let report = target();
        assert_eq!(serde_json::from_slice::<TargetReport>(&render(&report)).expect("reads"), report);
    }
}
