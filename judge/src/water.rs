//! Shares by weight, where nobody can take more than a certain amount: water that is filled into glasses as wide as their weights
//! rises to one level, and what a full glass does not hold is for the others.

/// One that has a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Glass {
    /// Above 0.
    pub(crate) weight: f64,
    /// The most that it can take, 0 or more.
    pub(crate) most: f64,
}

/// Divides `amount` among `glasses`, in their order. What all of them cannot take is nobody's.
pub(crate) fn fill(glasses: &[Glass], amount: f64) -> Vec<f64> {
    let level_of_full = |glass: &Glass| glass.most / glass.weight;
    let mut order: Vec<&Glass> = glasses.iter().collect();
    order.sort_by(|a, b| level_of_full(a).total_cmp(&level_of_full(b)));
    let mut width: f64 = glasses.iter().map(|glass| glass.weight).sum();
    let mut left = amount;
    let mut level = f64::INFINITY;
    for glass in order {
        // All that are not full yet are at least as high as this one.
        if left / width < level_of_full(glass) {
            level = left / width;
            break;
        }
        left -= glass.most;
        width -= glass.weight;
    }
    glasses.iter().map(|glass| (level * glass.weight).min(glass.most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glasses(all: &[(f64, f64)]) -> Vec<Glass> {
        all.iter().map(|(weight, most)| Glass { weight: *weight, most: *most }).collect()
    }

    #[test]
    fn by_weight_while_nobody_is_full() {
        assert_eq!(fill(&glasses(&[(1.0, 10.0), (3.0, 10.0)]), 4.0), [1.0, 3.0]);
        assert_eq!(fill(&[], 4.0), Vec::<f64>::new());
    }

    #[test]
    fn what_a_full_one_does_not_take_is_for_the_others() {
        assert_eq!(fill(&glasses(&[(1.0, 10.0), (98.0, 10.0), (1.0, 10.0)]), 20.0), [5.0, 10.0, 5.0]);
        assert_eq!(fill(&glasses(&[(1.0, 1.0), (2.0, 1.0)]), 3.0), [1.0, 1.0]);
    }

    fn any_glasses() -> impl Strategy<Value = Vec<Glass>> {
        let glass = (1u32..100_000, 0u32..1_000_000)
            .prop_map(|(weight, most)| Glass { weight: f64::from(weight), most: f64::from(most) });
        prop::collection::vec(glass, 1..12)
    }

    /// Far below a nanosecond of what is shared here.
    const CLOSE: f64 = 1e-3;

    proptest! {
        #[test]
        fn all_is_shared_and_nobody_has_too_much(glasses in any_glasses(), amount in 0u32..4_000_000) {
            let shares = fill(&glasses, f64::from(amount));
            let room: f64 = glasses.iter().map(|glass| glass.most).sum();
            prop_assert!((shares.iter().sum::<f64>() - room.min(f64::from(amount))).abs() < CLOSE);
            prop_assert!(shares.iter().zip(&glasses).all(|(share, glass)| (0.0..=glass.most).contains(share)));
        }

        #[test]
        fn those_that_are_not_full_have_the_same_for_their_weight(glasses in any_glasses(), amount in 0u32..4_000_000) {
            let shares = fill(&glasses, f64::from(amount));
            let levels = || shares.iter().zip(&glasses).map(|(share, glass)| (share / glass.weight, share < &glass.most));
            for (level, is_open) in levels() {
                for (other, _) in levels().filter(|_| is_open) {
                    prop_assert!(other <= level + CLOSE, "{other} is above {level}, which is not full");
                }
            }
        }

        #[test]
        fn order_does_not_matter(glasses in any_glasses(), amount in 0u32..4_000_000) {
            let turned: Vec<Glass> = glasses.iter().rev().copied().collect();
            let (one, other) = (fill(&glasses, f64::from(amount)), fill(&turned, f64::from(amount)));
            prop_assert!(one.iter().zip(other.iter().rev()).all(|(one, other)| (one - other).abs() < CLOSE));
        }
    }
}
