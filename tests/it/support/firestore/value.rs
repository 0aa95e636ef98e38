//! Values: how Firestore orders them, what it refuses to store, and how much room they take.

use std::cmp::Ordering;
use std::collections::HashMap;

use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::{MapValue, Value};
use tonic::Status;

use super::path::{check_field_name, name_of};

/// A document's or a map's fields.
pub(super) type Fields = HashMap<String, Value>;

/// Firestore's limit on a document, in bytes of its own storage-size formula.
const MAX_DOCUMENT_BYTES: usize = 1_048_576;
/// Firestore's limit on maps and arrays inside one another.
const MAX_DEPTH: usize = 20;
/// What a document, and a map ("calculated the same way"), takes beside names and values.
const OVERHEAD_BYTES: usize = 32;

/// The value of that type.
pub(super) fn value(value: ValueType) -> Value {
    Value { value_type: Some(value) }
}

/// The order of Firestore's documentation
/// (<https://firebase.google.com/docs/firestore/manage-data/data-types>): types first, then values.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    use ValueType as T;
    let (Some(a), Some(b)) = (&a.value_type, &b.value_type) else {
        return a.value_type.is_some().cmp(&b.value_type.is_some());
    };
    match (a, b) {
        (T::BooleanValue(a), T::BooleanValue(b)) => a.cmp(b),
        (T::IntegerValue(a), T::IntegerValue(b)) => a.cmp(b),
        (T::IntegerValue(a), T::DoubleValue(b)) => compare_mixed(*a, *b),
        (T::DoubleValue(a), T::IntegerValue(b)) => compare_mixed(*b, *a).reverse(),
        (T::DoubleValue(a), T::DoubleValue(b)) => compare_doubles(*a, *b),
        (T::TimestampValue(a), T::TimestampValue(b)) => (a.seconds, a.nanos).cmp(&(b.seconds, b.nanos)),
        // Rust orders strings by their UTF-8 bytes, as Firestore does.
        (T::StringValue(a), T::StringValue(b)) => a.cmp(b),
        (T::BytesValue(a), T::BytesValue(b)) => a.cmp(b),
        (T::ReferenceValue(a), T::ReferenceValue(b)) => a.split('/').cmp(b.split('/')),
        (T::GeoPointValue(a), T::GeoPointValue(b)) => {
            a.latitude.total_cmp(&b.latitude).then(a.longitude.total_cmp(&b.longitude))
        }
        (T::ArrayValue(a), T::ArrayValue(b)) => compare_all(&a.values, &b.values),
        (T::MapValue(a), T::MapValue(b)) => compare_maps(&a.fields, &b.fields),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// Whether the values are of one type, integers and doubles being one.
pub(super) fn same_type(a: &Value, b: &Value) -> bool {
    a.value_type.as_ref().map(rank) == b.value_type.as_ref().map(rank)
}

fn rank(value: &ValueType) -> u8 {
    match value {
        ValueType::NullValue(_) => 0,
        ValueType::BooleanValue(_) => 1,
        ValueType::IntegerValue(_) | ValueType::DoubleValue(_) => 2,
        ValueType::TimestampValue(_) => 3,
        ValueType::StringValue(_) => 4,
        ValueType::BytesValue(_) => 5,
        ValueType::ReferenceValue(_) => 6,
        ValueType::GeoPointValue(_) => 7,
        ValueType::ArrayValue(_) => 8,
        ValueType::MapValue(_) => 9,
        // Only in pipelines, which `check_fields` refuses to store.
        ValueType::FieldReferenceValue(_)
        | ValueType::VariableReferenceValue(_)
        | ValueType::FunctionValue(_)
        | ValueType::PipelineValue(_) => 10,
    }
}

/// NaN comes before every number and equals itself; the zeros are one.
fn compare_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Exact where a cast of the integer to a double would round.
fn compare_mixed(integer: i64, double: f64) -> Ordering {
    // 2^63, the first double above every i64.
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() || double < -ABOVE {
        Ordering::Greater
    } else if double >= ABOVE {
        Ordering::Less
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "it is within i64, see above")]
        let whole = double.trunc() as i64;
        integer.cmp(&whole).then(compare_doubles(0.0, double.fract()))
    }
}

fn compare_all(a: &[Value], b: &[Value]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
}

fn compare_maps(a: &Fields, b: &Fields) -> Ordering {
    let sorted = |fields: &Fields| {
        let mut names: Vec<String> = fields.keys().cloned().collect();
        names.sort();
        names
    };
    let (a_names, b_names) = (sorted(a), sorted(b));
    a_names
        .iter()
        .zip(&b_names)
        .map(|(x, y)| x.cmp(y).then_with(|| compare(&a[x], &b[y])))
        .find(|order| order.is_ne())
        .unwrap_or(a_names.len().cmp(&b_names.len()))
}

/// Refuses what Firestore doesn't store, and cuts times to the microseconds it keeps.
pub(super) fn check_fields(fields: &mut Fields) -> Result<(), Status> {
    check_map(fields, 0)
}

fn check_map(fields: &mut Fields, depth: usize) -> Result<(), Status> {
    for (name, value) in fields {
        check_field_name(name)?;
        check_value(name, value, depth)?;
    }
    Ok(())
}

/// Checks a value that is inside `depth` maps and arrays.
fn check_value(name: &str, value: &mut Value, depth: usize) -> Result<(), Status> {
    if matches!(value.value_type, Some(ValueType::MapValue(_) | ValueType::ArrayValue(_)))
        && depth == MAX_DEPTH
    {
        return Err(Status::invalid_argument(format!(
            "Property {name} is nested deeper than the maximum of {MAX_DEPTH} levels."
        )));
    }
    match &mut value.value_type {
        Some(ValueType::TimestampValue(time)) => time.nanos -= time.nanos % 1_000,
        Some(ValueType::MapValue(map)) => check_map(&mut map.fields, depth + 1)?,
        Some(ValueType::ArrayValue(array)) => {
            for element in &mut array.values {
                if matches!(element.value_type, Some(ValueType::ArrayValue(_))) {
                    return Err(Status::invalid_argument("Cannot convert an array value in an array value."));
                }
                check_value(name, element, depth + 1)?;
            }
        }
        Some(known) if rank(known) <= 9 => {}
        _ => {
            return Err(Status::invalid_argument(format!("Property {name} has no storable value.")));
        }
    }
    Ok(())
}

/// Refuses a document over 1 MiB
/// (<https://firebase.google.com/docs/firestore/storage-size>).
pub(super) fn check_size(database: &str, key: &[String], fields: &Fields) -> Result<(), Status> {
    let size = name_size(key.iter().map(String::as_str)) + map_size(fields);
    if size > MAX_DOCUMENT_BYTES {
        return Err(Status::invalid_argument(format!(
            "Document '{}' cannot be written because its size ({} bytes) exceeds the maximum \
             allowed size of {} bytes.",
            name_of(database, key),
            thousands(size),
            thousands(MAX_DOCUMENT_BYTES),
        )));
    }
    Ok(())
}

fn name_size<'a>(segments: impl Iterator<Item = &'a str>) -> usize {
    segments.map(|id| id.len() + 1).sum::<usize>() + 16
}

fn map_size(fields: &Fields) -> usize {
    let fields = fields.iter().map(|(name, value)| name.len() + 1 + value_size(value));
    fields.sum::<usize>() + OVERHEAD_BYTES
}

fn value_size(value: &Value) -> usize {
    match value.value_type.as_ref().expect("checked before it is measured") {
        ValueType::NullValue(_) | ValueType::BooleanValue(_) => 1,
        ValueType::StringValue(text) => text.len() + 1,
        ValueType::BytesValue(bytes) => bytes.len(),
        // projects/{p}/databases/{d}/documents is not part of a name's size.
        ValueType::ReferenceValue(name) => name_size(name.split('/').skip(5)),
        ValueType::GeoPointValue(_) => 16,
        ValueType::ArrayValue(array) => array.values.iter().map(value_size).sum(),
        ValueType::MapValue(map) => map_size(&map.fields),
        _ => 8,
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

/// The value at the path, through maps only.
pub(super) fn get<'a>(fields: &'a Fields, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let found = fields.get(first)?;
    if rest.is_empty() {
        return Some(found);
    }
    match &found.value_type {
        Some(ValueType::MapValue(map)) => get(&map.fields, rest),
        _ => None,
    }
}

/// Puts the value at the path, making the maps on the way; a value that isn't a map gives way.
pub(super) fn set(fields: &mut Fields, path: &[String], new: Value) {
    let (first, rest) = path.split_first().expect("a field path has a segment");
    if rest.is_empty() {
        fields.insert(first.clone(), new);
        return;
    }
    let slot = fields.entry(first.clone()).or_default();
    if !matches!(slot.value_type, Some(ValueType::MapValue(_))) {
        *slot = value(ValueType::MapValue(MapValue::default()));
    }
    if let Some(ValueType::MapValue(map)) = &mut slot.value_type {
        set(&mut map.fields, rest, new);
    }
}

/// Takes the value at the path away, if there is one.
pub(super) fn remove(fields: &mut Fields, path: &[String]) {
    let Some((last, [first, rest @ ..])) = path.split_last() else {
        path.first().map(|only| fields.remove(only));
        return;
    };
    if let Some(ValueType::MapValue(map)) = fields.get_mut(first).and_then(|v| v.value_type.as_mut()) {
        let below: Vec<String> = rest.iter().chain([last]).cloned().collect();
        remove(&mut map.fields, &below);
    }
}

/// Only the fields of the mask.
pub(super) fn project(fields: &Fields, mask: &[Vec<String>]) -> Fields {
    let mut kept = Fields::new();
    for path in mask {
        if let Some(found) = get(fields, path) {
            set(&mut kept, path, found.clone());
        }
    }
    kept
}
