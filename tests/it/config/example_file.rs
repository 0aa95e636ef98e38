//! `.env.example`: every variable that the service reads, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::load;

const FILE: &str = include_str!("../../../.env.example");
const CONTRACT: &str = include_str!("../../../docs/service.md");

/// Names and values of the lines `NAME=value`, and of those behind `#`.
fn variables(commented: bool) -> BTreeMap<&'static str, &'static str> {
    let lines = FILE.lines().filter_map(|line| match line.strip_prefix('#') {
        Some(line) if commented => Some(line),
        None if !commented => Some(line),
        _ => None,
    });
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    lines.filter_map(|line| line.split_once('=')).filter(|(name, _)| is_name(name)).collect()
}

#[test]
fn it_names_what_the_configuration_reads() {
    let (active, commented) = (variables(false), variables(true));
    let named: Vec<&str> = active.keys().chain(commented.keys()).copied().collect();
    let distinct: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(named.len(), distinct.len(), "a variable stands there twice");
    let settings = load(&[]).unwrap().settings;
    let read: BTreeSet<&str> = settings.iter().map(|setting| setting.name).collect();
    assert_eq!(read.len(), settings.len(), "a variable is read twice");
    assert_eq!(distinct, read);
}

#[test]
fn section_6_of_the_contract_has_each_of_its_variables() {
    let (_, rest) = CONTRACT.split_once("\n## 6. ").unwrap();
    let (section, _) = rest.split_once("\n## 7. ").unwrap();
    let names = variables(false).into_keys().chain(variables(true).into_keys());
    let missing: Vec<&str> = names.filter(|name| !section.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/service.md, section 6, lacks {missing:?}");
}

#[test]
fn its_values_are_the_defaults() {
    let active: Vec<(&str, &str)> = variables(false).into_iter().collect();
    let defaults = load(&[]).unwrap().settings;
    for (name, value) in &active {
        let default = defaults.iter().find(|setting| setting.name == *name).unwrap();
        assert_eq!(*value, default.value, "{name}");
    }
    load(&active).unwrap();
}

#[test]
fn a_default_that_depends_on_the_environment_is_not_pinned() {
    let active = variables(false);
    for name in ["HOST", "QUEUE_URL", "LOG_FORMAT", "SALESFORCE_API_VERSION"] {
        assert!(!active.contains_key(name), "{name}");
    }
}
