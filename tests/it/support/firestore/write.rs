//! One write: its precondition, its mask, its transforms, and the document that comes out.

use std::cmp::Ordering;

use gcloud_sdk::google::firestore::v1::document_transform::FieldTransform;
use gcloud_sdk::google::firestore::v1::document_transform::field_transform::{ServerValue, TransformType};
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{ArrayValue, DocumentMask, Value, Write, WriteResult};
use tonic::Status;

use super::path::{self, FieldPath, Key, field_path, name_of};
use super::store::{Micros, Stored, check_precondition};
use super::value::{Fields, check_fields, check_size, compare, get, remove, set, value};

/// The document a write is about, which has to be of that database.
pub(super) fn target(write: &Write, database: &str) -> Result<Key, Status> {
    let name = match &write.operation {
        Some(Operation::Update(document)) => &document.name,
        Some(Operation::Delete(name)) => name,
        Some(Operation::Transform(transform)) => &transform.document,
        None => return Err(Status::invalid_argument("A write has no operation")),
    };
    let (of, key) = path::document(name)?;
    if of != database {
        return Err(Status::invalid_argument(format!("Document name \"{name}\" is not of {database}")));
    }
    Ok(key)
}

/// What the write makes of the document as it is.
pub(super) fn apply(
    write: Write,
    database: &str,
    key: &Key,
    current: Option<&Stored>,
    now: Micros,
) -> Result<(Option<Stored>, WriteResult), Status> {
    if let Some(condition) = write.current_document.and_then(|precondition| precondition.condition_type) {
        check_precondition(condition, &name_of(database, key), current)?;
    }
    let (mut fields, transforms) = match write.operation {
        Some(Operation::Update(document)) => {
            let fields = match write.update_mask {
                Some(mask) => merged(current, &document.fields, &mask)?,
                None => document.fields,
            };
            (fields, write.update_transforms)
        }
        Some(Operation::Transform(transform)) => (fields_of(current), transform.field_transforms),
        Some(Operation::Delete(_)) | None => return Ok((None, WriteResult::default())),
    };
    let transform_results = transforms
        .into_iter()
        .map(|transform| transformed(&mut fields, transform, now))
        .collect::<Result<Vec<Value>, Status>>()?;
    check_fields(&mut fields)?;
    check_size(database, key, &fields)?;
    // A write that changes nothing leaves the time of the last one that did.
    let update_time = match current {
        Some(current) if current.fields == fields => current.update_time,
        _ => now,
    };
    let create_time = current.map_or(now, |current| current.create_time);
    let result = WriteResult { update_time: Some(update_time.into()), transform_results };
    Ok((Some(Stored { fields, create_time, update_time }), result))
}

fn fields_of(current: Option<&Stored>) -> Fields {
    current.map(|current| current.fields.clone()).unwrap_or_default()
}

/// The present fields with those of the mask set from `new`, or deleted where `new` lacks them.
fn merged(current: Option<&Stored>, new: &Fields, mask: &DocumentMask) -> Result<Fields, Status> {
    let mut fields = fields_of(current);
    for path in mask_paths(mask)? {
        match get(new, &path) {
            Some(value) => set(&mut fields, &path, value.clone()),
            None => remove(&mut fields, &path),
        }
    }
    Ok(fields)
}

/// The paths of a mask, none of which may be in another.
pub(super) fn mask_paths(mask: &DocumentMask) -> Result<Vec<FieldPath>, Status> {
    let mut paths: Vec<FieldPath> =
        mask.field_paths.iter().map(|text| field_path(text)).collect::<Result<_, _>>()?;
    paths.sort();
    if let Some([shorter, longer]) = paths.array_windows().find(|[a, b]| b.starts_with(a)) {
        return Err(Status::invalid_argument(format!(
            "Field paths of a mask conflict: {} and {}",
            shorter.join("."),
            longer.join(".")
        )));
    }
    Ok(paths)
}

/// Applies a transform and returns what the response says about it.
fn transformed(fields: &mut Fields, transform: FieldTransform, now: Micros) -> Result<Value, Status> {
    let path = field_path(&transform.field_path)?;
    let old = get(fields, &path);
    let null = value(ValueType::NullValue(0));
    let (new, result) = match transform.transform_type {
        Some(TransformType::SetToServerValue(server_value))
            if server_value == ServerValue::RequestTime as i32 =>
        {
            // The API gives this value to the millisecond.
            let time = value(ValueType::TimestampValue(Micros(now.0 - now.0.rem_euclid(1_000)).into()));
            (time.clone(), time)
        }
        Some(TransformType::Increment(by)) => {
            let sum = incremented(old, &by)?;
            (sum.clone(), sum)
        }
        Some(TransformType::Maximum(other)) => {
            let kept = extreme(old, other, Ordering::Greater)?;
            (kept.clone(), kept)
        }
        Some(TransformType::Minimum(other)) => {
            let kept = extreme(old, other, Ordering::Less)?;
            (kept.clone(), kept)
        }
        Some(TransformType::AppendMissingElements(elements)) => {
            let mut array = array_of(old);
            for element in elements.values {
                if !array.iter().any(|present| compare(present, &element).is_eq()) {
                    array.push(element);
                }
            }
            (value(ValueType::ArrayValue(ArrayValue { values: array })), null)
        }
        Some(TransformType::RemoveAllFromArray(elements)) => {
            let mut array = array_of(old);
            array.retain(|present| !elements.values.iter().any(|gone| compare(present, gone).is_eq()));
            (value(ValueType::ArrayValue(ArrayValue { values: array })), null)
        }
        Some(TransformType::SetToServerValue(_)) | None => {
            return Err(Status::invalid_argument("A field transform has no known type"));
        }
    };
    set(fields, &path, new);
    Ok(result)
}

fn array_of(old: Option<&Value>) -> Vec<Value> {
    match old.and_then(|old| old.value_type.as_ref()) {
        Some(ValueType::ArrayValue(array)) => array.values.clone(),
        _ => Vec::new(),
    }
}

/// Whether the value is a number, and which.
enum Number {
    Integer(i64),
    Double(f64),
}

fn number(value: &Value) -> Option<Number> {
    match value.value_type {
        Some(ValueType::IntegerValue(integer)) => Some(Number::Integer(integer)),
        Some(ValueType::DoubleValue(double)) => Some(Number::Double(double)),
        _ => None,
    }
}

fn not_a_number() -> Status {
    Status::invalid_argument("A numeric transform takes an integer or a double")
}

/// The sum; a field that isn't a number gives way to the operand, integers stop at their ends.
fn incremented(old: Option<&Value>, by: &Value) -> Result<Value, Status> {
    let operand = number(by).ok_or_else(not_a_number)?;
    #[expect(clippy::cast_precision_loss, reason = "a sum with a double is a double")]
    let sum = match (old.and_then(number), operand) {
        (None, _) => return Ok(by.clone()),
        (Some(Number::Integer(a)), Number::Integer(b)) => ValueType::IntegerValue(a.saturating_add(b)),
        (Some(Number::Integer(a)), Number::Double(b)) => ValueType::DoubleValue(a as f64 + b),
        (Some(Number::Double(a)), Number::Integer(b)) => ValueType::DoubleValue(a + b as f64),
        (Some(Number::Double(a)), Number::Double(b)) => ValueType::DoubleValue(a + b),
    };
    Ok(value(sum))
}

/// The operand where it is on that side of the old value, else the old value.
fn extreme(old: Option<&Value>, operand: Value, side: Ordering) -> Result<Value, Status> {
    number(&operand).ok_or_else(not_a_number)?;
    match old.filter(|old| number(old).is_some()) {
        Some(old) if compare(&operand, old) != side => Ok(old.clone()),
        _ => Ok(operand),
    }
}
