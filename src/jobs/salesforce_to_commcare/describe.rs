//! The elements of a job type's documents, for the document of the mappings.

use super::element::Source;
use super::{JobType, Layout};
use crate::jobs::describe::Description;
use crate::jobs::entry::{Entry, Gives};

impl JobType {
    /// Lists every element that a document has, from the tables by which it is written.
    pub(in crate::jobs) fn describe(&self, description: &mut Description) {
        let case_id = format!("{}.{}", self.records, self.case_id);
        let line = |field: String, keys: &[&str], source: String| Entry {
            direction: "",
            job_name: "",
            countries: Vec::new(),
            object: format!("{{project}}{}", self.case_type),
            external_id_field: "case_id",
            external_id: format!("{{{case_id}}}"),
            when: String::new(),
            field,
            paths: keys.iter().map(|key| format!("{}.{key}", self.records)).collect(),
            source,
            labels: Vec::new(),
            table: self.file.to_owned(),
            gives: Gives::Answer,
            texts: Vec::new(),
        };
        let block = if self.layout == Layout::SubcaseAndCase { "subcase_0/case" } else { "case" };
        for (name, source) in self.questions {
            description.line(line((*name).to_owned(), &keys_of(source, self), words(source, self)));
        }
        let create = |part: &str| format!("{block}/create/{part}");
        description.line(line(
            create("case_name"),
            &keys_of(&self.case_name, self),
            words(&self.case_name, self),
        ));
        let owner = "the id of the mobile workers' group; left out where it is blank".to_owned();
        description.line(line(create("owner_id"), &["ccMobileWorkerGroupId"], owner));
        let case_type = format!("the project's key (uniqueProjectKey) and {}", self.case_type);
        description.line(line(create("case_type"), &[], case_type));
        for (name, source) in self.update {
            // The case has what the form has under the same name.
            let asked = self.questions.iter().find(|(question, _)| question == name);
            let source = match (source, asked) {
                (Source::AsAsked, Some((_, asked))) => asked,
                (source, _) => source,
            };
            let field = format!("{block}/update/{name}");
            description.line(line(field, &keys_of(source, self), words(source, self)));
        }
        if let Some(parent) = &self.parent {
            let source = format!("the parent case, of the type {{project}}{}", parent.case_type);
            description.line(line(format!("{block}/index/parent"), &[parent.id], source));
        }
    }
}

/// The fields of a payload's record that a source reads.
fn keys_of(source: &Source, job: &JobType) -> Vec<&'static str> {
    match source {
        Source::Text(key) | Source::AsIs(key) | Source::WholeNumber(key) => vec![key],
        Source::Words(_) | Source::Empty | Source::Now | Source::AsAsked => Vec::new(),
        Source::CaseId => vec![job.case_id],
        Source::Joined(parts) => {
            let mut keys: Vec<&str> = parts.iter().flat_map(|part| keys_of(part, job)).collect();
            let mut seen = Vec::new();
            keys.retain(|key| {
                !seen.contains(key) && {
                    seen.push(key);
                    true
                }
            });
            keys
        }
        Source::Derived(rule) => rule.keys.to_vec(),
    }
}

fn words(source: &Source, job: &JobType) -> String {
    match source {
        Source::Text(_) => "the value as text; blank where it is missing, false or 0".to_owned(),
        Source::AsIs(_) => "the value as text; blank where it is missing".to_owned(),
        Source::WholeNumber(_) => "the value as a whole number where it reads as a number".to_owned(),
        Source::Words(words) => format!("always \"{words}\""),
        Source::Empty | Source::AsAsked => "always blank".to_owned(),
        Source::Now => "the time at which the payload arrived".to_owned(),
        Source::CaseId => "the id of the case".to_owned(),
        Source::Joined(parts) => {
            let part = |part: &Source| match part {
                Source::Words(words) => (*words).to_owned(),
                Source::Derived(rule) => format!("{{{}}}", rule.says),
                part => {
                    keys_of(part, job).iter().map(|key| format!("{{{key}}}")).collect::<Vec<_>>().concat()
                }
            };
            format!("put together: {}", parts.iter().map(part).collect::<String>())
        }
        Source::Derived(rule) => rule.says.to_owned(),
    }
}
