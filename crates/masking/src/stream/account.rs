//! What was shown, in numbers.

use model::disclosure::{Counts, Disclosure};

use crate::detect::Detector;
use crate::lens::Lens;

/// What content showed since the last time, by [`Detector`].
#[derive(Clone, Default)]
pub(crate) struct Account([Counts; Detector::COUNT]);

impl Account {
    /// Counts one value.
    pub(crate) fn count(&mut self, detector: Detector, masked: bool) {
        let counts = Counts { clear: u64::from(!masked), masked: u64::from(masked) };
        self.0.get_mut(detector.index()).into_iter().for_each(|counter| counter.add(counts));
    }

    /// Takes what was counted, with so many bytes.
    pub(crate) fn take(&mut self, lens: &Lens, bytes: usize) -> Disclosure {
        let mut disclosure = Disclosure { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), ..Disclosure::default() };
        for (detector, counts) in Detector::ALL.into_iter().zip(std::mem::take(&mut self.0)) {
            if let (Some((class, _)), false) = (lens.content(detector), counts == Counts::default()) {
                disclosure.classes.entry(class.clone()).or_default().add(counts);
            }
        }
        disclosure
    }
}
