//! Failed records by what they failed of: eighty failures usually have a handful of causes.
//!
//! Records are of one group where form type, kind, cause and error are the same, and ids, numbers and masked values
//! are left out of the comparison of the errors (`docs/service.md`, section 11).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::doc_id::hex;
use crate::submission::{Cause, ErrorKind, Record};
use crate::text::MASKED;

/// What stands for an id, a number or a masked value.
const LEFT_OUT: char = '…';
/// Bytes of a group's key.
const KEY: usize = 8;
/// Shorter ids of a record are not looked for in its error: they are found inside of other words.
const SHORTEST_ID: usize = 3;

/// Failed records that have the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group in a filter ([`FailedFilter::group`](super::FailedFilter::group)).
    pub key: String,
    /// Their routing name.
    pub job_name: String,
    /// Their kind; documents of the original service have none.
    pub error_kind: Option<ErrorKind>,
    /// Their cause as a word; older documents have none.
    pub cause: Option<Cause>,
    /// The error of the one that changed last.
    pub error: String,
    /// The step at which it failed.
    pub last_step: Option<String>,
    /// How many they are.
    pub count: u64,
    /// When the first of them changed last.
    pub oldest: Option<DateTime<Utc>>,
    /// When the last of them changed.
    pub newest: Option<DateTime<Utc>>,
    /// The document that changed last.
    pub example: String,
}

/// The groups of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The largest first.
    pub groups: Vec<Group>,
    /// Records of all groups.
    pub total: u64,
    /// Whether there were more records than are grouped: the oldest are left out.
    pub cut: bool,
}

/// Gathers records, the last changed first.
#[derive(Debug, Default)]
pub(super) struct Grouping(HashMap<String, Group>);

impl Grouping {
    pub(super) fn add(&mut self, doc_id: &str, record: &Record) {
        let key = key(doc_id, record);
        let group = self.0.entry(key.clone()).or_insert_with(|| Group {
            key,
            job_name: record.job_name.clone(),
            error_kind: record.error_kind,
            cause: record.cause,
            error: record.error.clone().unwrap_or_default(),
            last_step: record.last_step.clone(),
            count: 0,
            oldest: record.updated_at,
            newest: record.updated_at,
            example: doc_id.to_owned(),
        });
        group.count += 1;
        group.oldest = record.updated_at.or(group.oldest);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().map(|group| group.count).sum()
    }

    pub(super) fn finish(self, cut: bool) -> Groups {
        let total = self.total();
        let mut groups: Vec<Group> = self.0.into_values().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then(b.newest.cmp(&a.newest)).then(a.key.cmp(&b.key)));
        Groups { groups, total, cut }
    }
}

/// The group of a record.
pub(super) fn key(doc_id: &str, record: &Record) -> String {
    let own = [Some(doc_id), record.job_id.as_deref()];
    let waited_for = record.waits_for.iter().filter_map(|key| key.split_once('/')).map(|(_, id)| id);
    let ids: Vec<&str> = own.into_iter().flatten().chain(waited_for).collect();
    let kind = record.error_kind.map_or("", ErrorKind::as_str);
    let cause = record.cause.map_or("", Cause::as_str);
    let error = pattern(record.error.as_deref().unwrap_or_default(), &ids);
    let mut hasher = Sha256::new();
    for part in [record.job_name.as_str(), kind, cause, &error] {
        // The length keeps apart what would read the same run together.
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize()[..KEY])
}

/// An error without its ids, numbers and masked values. `ids` are the record's own.
fn pattern(error: &str, ids: &[&str]) -> String {
    let mut text = error.replace(MASKED, &LEFT_OUT.to_string());
    for id in ids.iter().filter(|id| id.len() >= SHORTEST_ID) {
        text = text.replace(id, &LEFT_OUT.to_string());
    }
    let mut pattern = String::with_capacity(text.len());
    for part in Words(&text) {
        let left_out = part.starts_with(LEFT_OUT) || is_id_or_number(part, is_path(&pattern));
        // A list of ids is as good as one.
        match (left_out, ends_with_left_out(&pattern)) {
            (true, Some(end)) => pattern.truncate(end),
            (true, None) => {
                // The sign of a number.
                pattern.truncate(pattern.trim_end_matches('+').len());
                pattern.push(LEFT_OUT);
            }
            (false, _) => pattern.push_str(part),
        }
    }
    // The errors of several records are listed with a semicolon between: how many there are tells nothing.
    let mut seen: Vec<&str> = Vec::new();
    for part in pattern.split("; ") {
        if !seen.contains(&part) {
            seen.push(part);
        }
    }
    seen.join("; ")
}

/// Where a pattern ends that has nothing but separators after its last left-out part.
fn ends_with_left_out(pattern: &str) -> Option<usize> {
    let end = pattern.trim_end_matches([' ', ',', '.', ':', '-', '/', '+']);
    end.ends_with(LEFT_OUT).then_some(end.len())
}

/// Whether a word is an id or a number. Every id has a digit; so have some names of fields, which say what is wrong:
/// those of Salesforce end in `__c` or `__r`, those of a form stand behind the dot of a path.
fn is_id_or_number(word: &str, in_path: bool) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_field = word.ends_with("__c") || word.ends_with("__r");
    let is_name = in_path && digits < word.len() && !word.contains('-');
    digits > 0 && !is_field && !is_name
}

/// Whether a pattern ends within a path, where the next word is the name of a field.
fn is_path(pattern: &str) -> bool {
    let before = pattern.strip_suffix('.').unwrap_or_default();
    before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == ']')
}

/// A text in words of letters, digits, `_` and `-`, and what is between them.
struct Words<'t>(&'t str);

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let in_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        let first = self.0.chars().next()?;
        let end = if in_word(first) {
            self.0.find(|letter| !in_word(letter)).unwrap_or(self.0.len())
        } else {
            first.len_utf8()
        };
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_numbers_and_masked_values_are_left_out() {
        for (one, other) in [
            (
                "Foreign key external ID: 0015g00000Nabc1AAB not found",
                "Foreign key external ID: farmer-17 not found",
            ),
            ("value too large: [masked] (max 255)", "value too large: +251911428067 (max 80)"),
            ("form.visits[3].date: missing", "form.visits[12].date: missing"),
            ("no mill e81696a6-8afe-4312-b459-071afb8adf9e", "no mill 7c1ac4a0-1f53-4ac9-93aa-1de15a21b1cd"),
            ("at 2026-11-24T10:00:00Z", "at 2026-01-02T03:04:05.5Z"),
            ("record 1: no name; record 2: no name", "record 7: no name"),
            ("missing: a-1, a-2, a-3", "missing: b-9"),
            ("near [masked] [masked]", "near [masked]"),
        ] {
            assert_eq!(pattern(one, &[]), pattern(other, &[]), "{one} / {other}");
        }
    }

    #[test]
    fn fields_and_words_keep_errors_apart() {
        for (one, other) in [
            ("Best_Practice_1__c: bad value", "Best_Practice_2__c: bad value"),
            ("form.question_1: missing", "form.question_2: missing"),
            ("REQUIRED_FIELD_MISSING", "STRING_TOO_LONG"),
            ("form.date: missing", "form.trainer: missing"),
        ] {
            assert_ne!(pattern(one, &[]), pattern(other, &[]), "{one} / {other}");
        }
    }

    #[test]
    fn a_records_own_ids_are_left_out_whatever_they_look_like() {
        assert_eq!(pattern("no mill north-mill", &["north-mill"]), pattern("no mill 12", &[]));
        assert_eq!(pattern("no data", &["no"]), "no data", "an id that is part of every other word");
    }
}
