//! Names of documents and paths of fields, and what Firestore refuses in them.

use tonic::Status;

/// Firestore's limit on an id and on a field name, in bytes
/// (<https://firebase.google.com/docs/firestore/quotas#limits>).
const MAX_ID_BYTES: usize = 1_500;

/// A path below `documents/`: collection, document, collection, … Ordered segment by segment,
/// which is how Firestore orders names.
pub(super) type Key = Vec<String>;

/// The segments of a field path: `` a.`b-c` `` is `["a", "b-c"]`.
pub(super) type FieldPath = Vec<String>;

/// `projects/{p}/databases/{d}` and nothing else.
pub(super) fn database(name: &str) -> Result<String, Status> {
    match name.split('/').collect::<Vec<_>>()[..] {
        ["projects", project, "databases", id] if !project.is_empty() && !id.is_empty() => {
            Ok(name.to_owned())
        }
        _ => Err(Status::invalid_argument(format!("Invalid database name: \"{name}\""))),
    }
}

/// A document's full name: its database and its key.
pub(super) fn document(name: &str) -> Result<(String, Key), Status> {
    let (database, key) = parent(name)?;
    if key.is_empty() {
        return Err(Status::invalid_argument(format!("Document name \"{name}\" has no document")));
    }
    Ok((database, key))
}

/// What a collection hangs from: the root of the documents or a document.
pub(super) fn parent(name: &str) -> Result<(String, Key), Status> {
    let refused = || Status::invalid_argument(format!("Invalid document name \"{name}\""));
    let segments: Vec<&str> = name.split('/').collect();
    let (root, path) = segments.split_at_checked(5).ok_or_else(refused)?;
    if root[4] != "documents" || !path.len().is_multiple_of(2) {
        return Err(refused());
    }
    for id in path {
        check_id(id)?;
    }
    Ok((database(&root[..4].join("/"))?, path.iter().map(|&id| id.to_owned()).collect()))
}

/// The full name again.
pub(super) fn name_of(database: &str, key: &[String]) -> String {
    format!("{database}/documents/{}", key.join("/"))
}

/// Refuses what can't be the id of a collection or document.
pub(super) fn check_id(id: &str) -> Result<(), Status> {
    if id.is_empty() || id == "." || id == ".." || id.contains('/') || reserved(id) {
        return Err(Status::invalid_argument(format!(
            "Resource id \"{id}\" is invalid because it is empty, reserved or contains \"/\""
        )));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(Status::invalid_argument(format!(
            "Resource id is longer than {MAX_ID_BYTES} bytes ({} bytes)",
            id.len()
        )));
    }
    Ok(())
}

/// Refuses what can't be the name of a field.
pub(super) fn check_field_name(name: &str) -> Result<(), Status> {
    if name.is_empty() || reserved(name) {
        return Err(Status::invalid_argument(format!("Field name \"{name}\" is empty or reserved")));
    }
    if name.len() > MAX_ID_BYTES {
        return Err(Status::invalid_argument(format!("Field name is longer than {MAX_ID_BYTES} bytes")));
    }
    Ok(())
}

/// Whether the name matches `__.*__`.
fn reserved(name: &str) -> bool {
    name.len() >= 4 && name.starts_with("__") && name.ends_with("__")
}

/// Parses a field path: simple names (`[A-Za-z_][A-Za-z_0-9]*`) or names in backticks, joined by
/// dots.
pub(super) fn field_path(text: &str) -> Result<FieldPath, Status> {
    let refused = || Status::invalid_argument(format!("Invalid property path \"{text}\""));
    let mut path = FieldPath::new();
    let mut rest = text;
    loop {
        let (segment, after) = match rest.strip_prefix('`') {
            Some(quoted) => quoted_segment(quoted),
            None => simple_segment(rest),
        }
        .ok_or_else(refused)?;
        path.push(segment);
        if after.is_empty() {
            return Ok(path);
        }
        rest = after.strip_prefix('.').ok_or_else(refused)?;
    }
}

/// A segment whose opening backtick is gone, and what follows its closing one.
fn quoted_segment(text: &str) -> Option<(String, &str)> {
    let mut segment = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '`' if segment.is_empty() => return None,
            '`' => return Some((segment, &text[at + 1..])),
            '\\' => segment.push(chars.next()?.1),
            c => segment.push(c),
        }
    }
    None
}

/// A segment without backticks, and what follows it.
fn simple_segment(text: &str) -> Option<(String, &str)> {
    let (segment, after) = text.split_at(text.find('.').unwrap_or(text.len()));
    let simple = segment.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    simple.then(|| (segment.to_owned(), after))
}
