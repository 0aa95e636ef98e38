//! Variables that look like one of the service's.

use std::collections::BTreeSet;

use super::Setting;

/// First words that other programs use as well: Cloud Run sets `K_REVISION`, Rust reads `RUST_BACKTRACE`.
const OTHERS: [&str; 2] = ["K", "RUST"];

/// The names that begin with the first word of a known one and are not known, in their order.
pub(super) fn among<'n>(known: &[Setting], names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let known: BTreeSet<&str> = known.iter().map(|setting| setting.name).collect();
    let words: BTreeSet<&str> = known.iter().map(|name| first_word(name)).collect();
    let is_unknown = |name: &&str| {
        let word = first_word(name);
        *name != word && words.contains(word) && !OTHERS.contains(&word) && !known.contains(name)
    };
    let unknown: BTreeSet<&str> = names.into_iter().filter(is_unknown).collect();
    unknown.into_iter().collect()
}

fn first_word(name: &str) -> &str {
    name.split_once('_').map_or(name, |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_misspelt_variable_is_named() {
        let config = Config::load(&|_| None).unwrap();
        let misspelt = ["CC_APIKEY", "OPERATOR_TOKENS", "SF_USER_NAME", "WEBHOOK_BASIC"];
        let others = ["PATH", "HOME", "K_REVISION", "RUST_BACKTRACE", "CC", "HOSTNAME", "SF", "LANG"];
        let known = config.settings.iter().map(|setting| setting.name);
        let names = misspelt.into_iter().rev().chain(others).chain(known);
        assert_eq!(config.unknown(names), misspelt);
    }
}
