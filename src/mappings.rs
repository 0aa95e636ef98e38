//! The mappings as a document (`docs/service.md`, section 10): the lines that the jobs' tables give, chosen and written
//! out for people and programs.

use std::borrow::Cow;
use std::fmt::Write;

use crate::csv;
use crate::jobs::{self, Entry, JOBS};

/// Columns of the document as CSV.
const COLUMNS: [&str; 12] = [
    "direction",
    "job_name",
    "countries",
    "object",
    "external_id_field",
    "external_id",
    "when",
    "field",
    "paths",
    "source",
    "labels",
    "table",
];
/// Width of the column of field names.
const NAMES: usize = 44;

/// No form type has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no form type is named {name:?}{}", hint(.name))]
pub struct NoSuchFormType {
    name: String,
}

fn hint(name: &str) -> String {
    let meant = JOBS.iter().find_map(|job| jobs::meant(job.origin, name));
    meant.map_or(String::new(), |job| format!("; did you mean {:?}?", job.name))
}

/// The lines of one form type, or all.
pub fn of(job_name: Option<&str>) -> Result<Vec<&'static Entry>, NoSuchFormType> {
    let Some(name) = job_name else { return Ok(jobs::mappings().iter().collect()) };
    if JOBS.iter().all(|job| job.name != name) {
        return Err(NoSuchFormType { name: name.to_owned() });
    }
    Ok(jobs::mappings().iter().filter(|entry| entry.job_name == name).collect())
}

/// The lines in which every word occurs, in any case.
pub fn search<'e>(entries: Vec<&'e Entry>, words: &str) -> Vec<&'e Entry> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let holds = |entry: &&Entry| {
        let text = csv_line(entry).to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    };
    entries.into_iter().filter(holds).collect()
}

/// The line of the question whose answer stands at a form path, in this form type: the one with labels where there are
/// several. `None` where no table reads the answer.
pub fn question(job_name: &str, path: &str) -> Option<&'static Entry> {
    let path = without_positions(path);
    let of_form = || jobs::mappings().iter().filter(|entry| entry.job_name == job_name);
    let reads = |entry: &&Entry| entry.paths.iter().any(|read| *read == path);
    of_form().find(|entry| reads(entry) && !entry.labels.is_empty()).or_else(|| of_form().find(reads))
}

/// A form path without the positions of repeated groups: `a[3].b` is `a.b`.
fn without_positions(path: &str) -> Cow<'_, str> {
    if !path.contains('[') {
        return path.into();
    }
    let mut inside = false;
    let kept = |c: &char| {
        let outside = !inside && *c != '[';
        inside = if inside { *c != ']' } else { *c == '[' };
        outside
    };
    path.chars().filter(kept).collect::<String>().into()
}

/// The document as CSV.
pub fn as_csv(entries: &[&Entry]) -> String {
    let lines = entries.iter().map(|entry| csv_line(entry));
    csv::line(COLUMNS) + &lines.collect::<String>()
}

fn csv_line(entry: &Entry) -> String {
    let labels: Vec<String> =
        entry.labels.iter().map(|pair| format!("{} = {}", pair.code, pair.label)).collect();
    csv::line([
        entry.direction,
        entry.job_name,
        &countries(entry),
        &entry.object,
        entry.external_id_field,
        &entry.external_id,
        &entry.when,
        &entry.field,
        &entry.paths.join("; "),
        &entry.source,
        &labels.join("; "),
        &entry.table,
    ])
}

/// The countries of a line, `all` where it holds everywhere.
pub fn countries(entry: &Entry) -> String {
    if entry.countries.is_empty() { "all".to_owned() } else { entry.countries.join(" ") }
}

/// The document for people: by form type and record, a field and its answers on a line, the rule and the labels below.
pub fn as_table(entries: &[&Entry]) -> String {
    let mut text = String::new();
    for of_job in entries.chunk_by(|one, next| one.job_name == next.job_name) {
        let blank = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{blank}{} ({})", of_job[0].job_name, of_job[0].direction);
        for of_record in of_job.chunk_by(|one, next| record(one) == record(next)) {
            let Entry { object, external_id_field, external_id, when, .. } = of_record[0];
            let _ = writeln!(text, "\n{object}, found by {external_id_field} = {external_id}");
            if !when.is_empty() {
                let _ = writeln!(text, "written: {when}");
            }
            for entry in of_record {
                line(&mut text, entry);
            }
        }
    }
    text
}

/// What tells a record's lines from the next one's.
pub fn record(entry: &Entry) -> (&str, &str, &str) {
    (&entry.object, &entry.external_id, &entry.when)
}

fn line(text: &mut String, entry: &Entry) {
    let countries =
        if entry.countries.is_empty() { String::new() } else { format!(" [{}]", entry.countries.join(", ")) };
    let _ = writeln!(text, "{}", format!("  {:<NAMES$} {}", entry.field, entry.paths.join(", ")).trim_end());
    let _ = writeln!(text, "  {:<NAMES$}   {}{countries}", "", entry.source);
    for pair in &entry.labels {
        let _ = writeln!(text, "  {:<NAMES$}   {:>4} → {}", "", pair.code, pair.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_a_repeated_group_is_found_by_its_question() {
        let path = "form.field_inventory_survey.general_plot_information[12].varieties";
        let entry = question("Farm Visit Full", path).expect("the table of varieties reads it");
        assert_eq!((entry.object.as_str(), entry.labels.len()), ("Coffee_Variety__c", 8));
        assert!(question("Farm Visit Full", "form.nobody_reads_this").is_none());
    }

    #[test]
    fn words_are_searched_in_any_case_and_order() {
        let found = search(of(Some("Farm Visit Full")).unwrap(), "SHADE photo");
        assert!(found.iter().any(|entry| entry.field == "photo_of_level_of_shade_on_the_plot__c"));
        assert!(found.len() < 10, "{}", found.len());
    }

    #[test]
    fn a_name_in_another_case_is_recognised() {
        let error = of(Some("farm visit full")).unwrap_err().to_string();
        assert_eq!(error, "no form type is named \"farm visit full\"; did you mean \"Farm Visit Full\"?");
    }
}
