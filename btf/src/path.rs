//! The text of a path, as its steps.

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// `name` at the beginning, `.name`.
    Member(&'a str),
    /// `->name`.
    Through(&'a str),
    /// `[3]`.
    Index(u32),
}

/// Steps of `path`; none if it is not written like one.
pub(crate) fn parse(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(inside) = rest.strip_prefix('[') {
            let (number, rest) = inside.split_once(']')?;
            (Step::Index(number.parse().ok()?), rest)
        } else if let Some(rest) = rest.strip_prefix("->") {
            let (name, rest) = name(rest)?;
            (Step::Through(name), rest)
        } else {
            let of_member = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
            let (name, rest) = name(of_member)?;
            (Step::Member(name), rest)
        };
        steps.push(step);
    }
    (!steps.is_empty()).then_some(steps)
}

fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::Step::{Index, Member, Through};
    use super::*;

    #[test]
    fn paths_are_written_as_in_c() {
        let cases: [(&str, Option<Vec<Step<'_>>>); 9] = [
            ("nr_running", Some(vec![Member("nr_running")])),
            ("scx.local_dsq.nr", Some(vec![Member("scx"), Member("local_dsq"), Member("nr")])),
            ("curr->comm[3]", Some(vec![Member("curr"), Through("comm"), Index(3)])),
            ("[2]->x", Some(vec![Index(2), Through("x")])),
            ("", None),
            ("a..b", None),
            ("a b", None),
            ("a[-1]", None),
            ("a[1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
