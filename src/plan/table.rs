//! Plans as text for people, one block for each record.

use std::fmt::Write;

use quick_xml::events::{BytesText, Event};
use quick_xml::{Reader, Writer};
use serde_json::Value;

/// How many records of one object, or documents, are shown in a row. The rest of them is only counted.
const SHOWN: usize = 3;
/// Width of the column of field names.
const NAMES: usize = 52;

/// The effects of a plan, as [`Plan::to_json`](super::Plan::to_json) gives it.
pub(crate) fn effects(plan: &Value) -> String {
    match (plan.get("rows"), plan["documents"].as_array()) {
        (Some(rows), _) => self::rows(rows),
        (None, Some(documents)) => self::documents(documents),
        (None, None) => upserts(plan),
    }
}

/// One document, indented; one that cannot be parsed is shown as it is.
pub(crate) fn document(xml: &str) -> String {
    indented(xml).unwrap_or_else(|| xml.to_owned())
}

/// The number of effects and their kind.
pub(crate) fn count(plan: &Value) -> String {
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    match (plan["rows"].as_object(), plan["documents"].as_array()) {
        (Some(tables), _) => format!("{} PostGIS rows", tables.values().map(length).sum::<usize>()),
        (None, Some(documents)) => format!("{} CommCare documents", documents.len()),
        (None, None) => format!("{} Salesforce records", length(&plan["upserts"])),
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

/// The documents, indented, with one element on a line.
fn documents(documents: &[Value]) -> String {
    let mut text = String::new();
    for (number, document) in (1..).zip(documents.iter().take(SHOWN)) {
        let xml = document.as_str().unwrap_or_default();
        let indented = self::document(xml);
        for (at, line) in indented.lines().enumerate() {
            let margin = if at == 0 { format!("{number:>5}") } else { " ".repeat(5) };
            let _ = writeln!(text, "{margin}  {line}");
        }
    }
    if let Some(more @ 1..) = documents.len().checked_sub(SHOWN) {
        let _ = writeln!(text, "       … and {more} more documents like these");
    }
    text
}

fn indented(xml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // A start tag is held back until it is known whether its end tag follows.
    let mut started = None;
    loop {
        let event = reader.read_event().ok()?;
        let event = match (started.take(), event) {
            (Some(start), Event::End(_)) => Event::Empty(start),
            (Some(start), event) => {
                writer.write_event(Event::Start(start)).ok()?;
                event
            }
            (None, event) => event,
        };
        match event {
            Event::Eof => return String::from_utf8(writer.into_inner()).ok(),
            Event::Decl(_) => {}
            Event::Start(start) => started = Some(start),
            // A reference is part of the text around it: as an event of its own it would begin a new line.
            Event::GeneralRef(name) => {
                let text = format!("&{};", &*name);
                writer.write_event(Event::Text(BytesText::from_escaped(&text))).ok()?;
            }
            event => writer.write_event(event).ok()?,
        }
    }
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
