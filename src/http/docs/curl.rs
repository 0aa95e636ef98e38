//! A call as one would make it from a shell.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{Schemas, text};

/// Variables of the shell that the examples use.
pub(super) fn set_up(address: &str) -> String {
    // A host is a stranger's text, and this one is pasted into a shell.
    let address: String =
        address.chars().filter(|c| c.is_ascii_alphanumeric() || ":/.-_[]".contains(*c)).collect();
    format!("export SERVICE_URL={address}\nexport OPERATOR_TOKEN=…\nexport WEBHOOK_BASIC_AUTH=user:password")
}

/// From this length on a body has a line for each member.
const LONG: usize = 100;

/// A call with example values, to be pasted.
pub(super) fn example(schemas: Schemas<'_>, method: &str, path: &str, call: &Value) -> String {
    let mut url = path.to_owned();
    for parameter in call["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "path" {
            let example = parameter["example"].as_str();
            let value = example.unwrap_or_else(|| text(&schemas.resolve(&parameter["schema"])["enum"][0]));
            url = url.replace(&format!("{{{}}}", text(&parameter["name"])), value);
        }
    }
    let verb = if method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let mut command = format!("curl -sS{verb} \"$SERVICE_URL{url}\"");
    // Writing to a String cannot fail.
    let takes = |scheme: &str| {
        call["security"].as_array().into_iter().flatten().any(|taken| taken.get(scheme).is_some())
    };
    if takes("operator_token") {
        command += " \\\n  -H \"Authorization: Bearer $OPERATOR_TOKEN\"";
    } else if takes("webhook_basic") {
        command += " \\\n  -u \"$WEBHOOK_BASIC_AUTH\"";
    }
    if let Some(body) = body(schemas, &call["requestBody"]["content"]["application/json"]) {
        let _ = write!(
            command,
            " \\\n  -H 'Content-Type: application/json' -d '{}'",
            body.replace('\'', r"'\''")
        );
    }
    command
}

/// The shortest of a body's examples.
fn body(schemas: Schemas<'_>, content: &Value) -> Option<String> {
    let named = content["examples"].as_object().into_iter().flat_map(|examples| examples.values());
    let named = named.map(|example| &schemas.resolve(example)["value"]);
    let of_the_schema = schemas.resolve(&content["schema"])["examples"].as_array().into_iter().flatten();
    let shortest = named.chain(of_the_schema).min_by_key(|example| example.to_string().len())?;
    let line = shortest.to_string();
    Some(if line.len() < LONG { line } else { format!("{shortest:#}") })
}
