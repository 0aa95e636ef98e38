//! Plans for people: what would be written, one block for each record.

use std::fmt::Write;

use serde_json::Value;

/// Records of one object that are shown in a row, before the rest of them is only counted.
const SHOWN: usize = 3;
/// Width of the field names' column.
const NAMES: usize = 52;

/// The effects of a plan, as [`Plan::to_json`](crate::plan::Plan::to_json) gives it.
pub(crate) fn effects(plan: &Value) -> String {
    match plan.get("rows") {
        Some(rows) => self::rows(rows),
        None => upserts(plan),
    }
}

/// How many effects there are, and of which kind.
pub(crate) fn count(plan: &Value) -> String {
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    match plan["rows"].as_object() {
        Some(tables) => format!("{} PostGIS rows", tables.values().map(length).sum::<usize>()),
        None => format!("{} Salesforce records", length(&plan["upserts"])),
    }
}

/// Rows by table, parents first.
fn rows(tables: &Value) -> String {
    let mut text = String::new();
    for table in ["wetmills", "form_visits", "survey_responses", "survey_question_responses"] {
        let rows = tables[table].as_array().map(Vec::as_slice).unwrap_or_default();
        for (number, row) in (1..).zip(rows.iter().take(SHOWN)) {
            line(&mut text, &format!("  {number:>3}  {table}"), "");
            fields(&mut text, "", row);
        }
        if let Some(more @ 1..) = rows.len().checked_sub(SHOWN) {
            let number = rows.len();
            line(&mut text, &format!("  {number:>3}  {table}"), &format!("… and {more} more like these"));
        }
    }
    text
}

fn upserts(plan: &Value) -> String {
    let upserts = plan.get("upserts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    let mut number = 0;
    for run in upserts.chunk_by(|one, next| one["object"] == next["object"]) {
        for upsert in run.iter().take(SHOWN) {
            number += 1;
            let shown = |name: &str| upsert[name].as_str().unwrap_or_default().to_owned();
            let (object, key) = (shown("object"), shown("external_id_field"));
            line(
                &mut text,
                &format!("  {number:>3}  {object}"),
                &format!("{key} = {}", shown("external_id")),
            );
            fields(&mut text, "", &upsert["fields"]);
        }
        if let Some(more @ 1..) = run.len().checked_sub(SHOWN) {
            number += more;
            let object = run[0]["object"].as_str().unwrap_or_default();
            line(&mut text, &format!("  {number:>3}  {object}"), &format!("… and {more} more like these"));
        }
    }
    text
}

fn fields(text: &mut String, prefix: &str, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        if value.is_object() {
            self::fields(text, &format!("{prefix}{name}."), value);
        } else {
            line(text, &format!("         {prefix}{name}"), &value.to_string());
        }
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", format!("{name:<NAMES$} {value}").trim_end());
}
