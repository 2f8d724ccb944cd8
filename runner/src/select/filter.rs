//! `--test_filter`: a glob over case names.
//!
//! Only `*` and `?` are special. Brackets stand for themselves, because the names of cases are full of them. Several
//! globs may be joined by `:` or `|`.

use ktstr_model::field::nearest;

/// A filter over case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    text: String,
}

impl Filter {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the filter takes a case of this name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.globs().any(|glob| matches(glob.as_bytes(), name.as_bytes()))
    }

    /// Names that may have been meant, for a filter that takes none of `names`.
    pub(crate) fn nearest<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let near = self.globs().filter_map(|glob| nearest(glob, names.iter().copied()));
        let mut all: Vec<&str> = near.chain(names.iter().copied()).collect();
        all.dedup();
        all.truncate(3);
        all
    }

    fn globs(&self) -> impl Iterator<Item = &str> {
        self.text.split([':', '|']).filter(|glob| !glob.is_empty())
    }
}

/// Greedy matching with one point of return, linear in `name` for each `*`.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(byte) if *byte == b'?' || name.get(n) == Some(byte) => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                g = after + 1;
                n = taken + 1;
            }
        }
    }
    glob.get(g..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(filter: &str, name: &str, takes: bool) {
        assert_eq!(Filter::new(filter).takes(name), takes, "{filter} on {name}");
    }

    #[test]
    fn brackets_stand_for_themselves() {
        check("fair[1n2l2c1t][s0]", "fair[1n2l2c1t][s0]", true);
        check("fair[1n2l2c1t][s0]", "fair[1n2l2c1t][s1]", false);
        check("*[s0]", "fair[1n2l2c1t][s0]", true);
        check("*[1n?l*", "fair[1n2l2c1t][s0]", true);
        check("fair", "fair[1n2l2c1t][s0]", false);
        check("*[s1]:*[s0]", "fair[1n2l2c1t][s0]", true);
        check("", "fair", false);
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["fair[1n1l1c1t][s0]", "swap[1n1l1c1t][s0]"];
        assert_eq!(Filter::new("swpa[1n1l1c1t][s0]").nearest(&names)[0], names[1]);
    }

    proptest! {
        #[test]
        fn a_name_takes_itself(name in "[a-z0-9_\\[\\]+]{1,40}") {
            prop_assert!(Filter::new(&name).takes(&name));
            prop_assert!(Filter::new("*").takes(&name));
        }

        #[test]
        fn no_glob_panics(filter: String, name: String) {
            Filter::new(&filter).takes(&name);
        }
    }
}
