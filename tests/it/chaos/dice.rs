//! Chance that can be had again: every task of a run throws its own dice, made from the run's seed and
//! the task's name, so that what one task does hangs on no other's luck.

use std::ops::Range;
use std::time::Duration;

/// One task's dice (`SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, task: &str) -> Self {
        let fold = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(task.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, fold))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.number() % end).unwrap()
    }

    /// So many times of a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.number() % (range.end - range.start))
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[test]
fn the_same_seed_throws_the_same_and_another_task_does_not() {
    let throw = |seed, task| {
        let mut dice = Dice::new(seed, task);
        [dice.number(), dice.number()]
    };
    assert_eq!(throw(7, "a"), throw(7, "a"));
    assert_ne!(throw(7, "a"), throw(7, "b"));
    assert_ne!(throw(7, "a"), throw(8, "a"));
}
