//! The words of the element tables and their meaning (`docs/mappings/salesforce-to-commcare.md`, section 2.4).

use std::borrow::Cow;

use super::{PayloadRecord, text};

/// An element and the source of its text.
pub(super) type Element = (&'static str, Source);

/// The source of an element's text.
pub(super) enum Source {
    /// *text of* a field.
    Text(&'static str),
    /// *as-is of* a field.
    AsIs(&'static str),
    /// *integer-like of* a field.
    WholeNumber(&'static str),
    /// These words.
    Words(&'static str),
    /// Always empty.
    Empty,
    /// *case id*.
    CaseId,
    /// *now*.
    Now,
    /// The text of the question element of the same name.
    AsAsked,
    /// Several sources, one text behind the other.
    Joined(&'static [Source]),
    /// A rule that no other source can express.
    Derived(&'static Rule),
}

/// A rule in code, and the words that say it.
pub(super) struct Rule {
    /// One sentence or two, without a full stop at the end.
    pub(super) says: &'static str,
    /// The fields that it reads.
    pub(super) keys: &'static [&'static str],
    /// The rule.
    pub(super) read: fn(&PayloadRecord<'_>) -> Result<String, Unfit>,
}

/// Why a record cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The record is not an object.
    NotAnObject,
    /// The case id is missing or blank.
    Blank(&'static str),
    /// A field that becomes text is a list or a group.
    NotText(&'static str),
}

/// Elements with their texts.
pub(super) type Values<'r> = Vec<(&'static str, Cow<'r, str>)>;

/// The texts of a table's elements. `asked` holds the texts of the question elements.
pub(super) fn values<'r>(
    elements: &[Element],
    record: &'r PayloadRecord<'_>,
    asked: &[(&'static str, Cow<'r, str>)],
) -> Result<Values<'r>, Unfit> {
    elements
        .iter()
        .map(|(name, source)| {
            let value = match source {
                Source::AsAsked => {
                    let question = asked.iter().find(|(question, _)| question == name);
                    question.map(|(_, value)| value.clone()).unwrap_or_default()
                }
                source => record.value(source)?,
            };
            Ok((*name, value))
        })
        .collect()
}

impl PayloadRecord<'_> {
    /// The text that `source` gives. It is empty for `AsAsked`, which depends on another element.
    pub(super) fn value(&self, source: &Source) -> Result<Cow<'_, str>, Unfit> {
        match source {
            Source::Text(key) => self.text(key),
            Source::AsIs(key) => self.as_is(key),
            Source::WholeNumber(key) => self.whole_number(key),
            Source::Words(words) => Ok(Cow::Borrowed(words)),
            Source::Empty | Source::AsAsked => Ok(Cow::Borrowed("")),
            Source::CaseId => Ok(Cow::Borrowed(&self.case_id)),
            Source::Now => Ok(Cow::Borrowed(&self.batch.now)),
            Source::Joined(parts) => {
                let parts = parts.iter().map(|part| self.value(part));
                Ok(Cow::Owned(parts.collect::<Result<Vec<_>, _>>()?.concat()))
            }
            Source::Derived(rule) => (rule.read)(self).map(Cow::Owned),
        }
    }

    pub(super) fn text(&self, key: &'static str) -> Result<Cow<'_, str>, Unfit> {
        text::text(self.fields.get(key)).ok_or(Unfit::NotText(key))
    }

    pub(super) fn as_is(&self, key: &'static str) -> Result<Cow<'_, str>, Unfit> {
        text::as_is(self.fields.get(key)).ok_or(Unfit::NotText(key))
    }

    pub(super) fn whole_number(&self, key: &'static str) -> Result<Cow<'_, str>, Unfit> {
        text::whole_number(self.fields.get(key)).ok_or(Unfit::NotText(key))
    }

    /// Whether the payload belongs to one of these projects.
    pub(super) fn is_of(&self, projects: &[&str]) -> bool {
        projects.contains(&self.batch.project.as_str())
    }
}
