//! Medians and ratios.

/// The middle of several numbers, with the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of some numbers; nothing of none.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            least,
            most,
        })
    }

    /// Of the ratios of ours to theirs, run by run: what slowed both at one time cancels out.
    pub(crate) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let pairs = ours.iter().zip(theirs);
        Self::of(
            pairs
                .filter(|(_, theirs)| **theirs > 0.0)
                .map(|(ours, theirs)| ours / theirs),
        )
    }

    /// `1.23 (1.10–1.50)`; a single number stands alone.
    pub(crate) fn show(&self, digits: usize) -> String {
        let (median, least, most) = (self.median, self.least, self.most);
        if least.total_cmp(&most).is_eq() {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let of = |numbers: &[f64]| Spread::of(numbers.iter().copied()).unwrap();
        assert_eq!(of(&[3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(
            (of(&[4.0, 1.0, 2.0]).least, of(&[4.0, 1.0]).most),
            (1.0, 4.0)
        );
        assert_eq!(of(&[7.0]).show(2), "7.00");
        assert_eq!(of(&[1.0, 3.0, 2.0]).show(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // A slow minute hits both of the second pair: each ratio is a half all the same.
        let ratios = Spread::of_ratios(&[1.0, 10.0, 2.0], &[2.0, 20.0, 4.0]).unwrap();
        assert_eq!((ratios.median, ratios.least, ratios.most), (0.5, 0.5, 0.5));
        assert_eq!(Spread::of_ratios(&[1.0, 9.0], &[2.0]).unwrap().most, 0.5);
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
        assert_eq!(Spread::of_ratios(&[], &[]), None);
    }
}
