//! Which queries production would serve, given the indexes this repository deploys.
//!
//! An index is usable for a query when it ends in exactly the query's order and everything before
//! that is a field compared for equality; several usable indexes may be merged to cover all
//! equalities. Automatic single-field indexes are indexes of one field, unless an override takes
//! them away. Directions count: Firestore treats `(a ASC, b ASC)` and `(a ASC, b DESC)` as two
//! indexes that can't stand in for each other, so no index is scanned in reverse here. (The
//! direction of a field compared for equality doesn't matter.)

use std::collections::BTreeSet;

use serde::Deserialize;
use tonic::Status;

use super::filter::{Condition, Op};
use super::path::{FieldPath, field_path};
use super::query::{NAME, Query};

/// `deploy/firestore.indexes.json`, in the format of the Firebase CLI.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Indexes {
    indexes: Vec<Composite>,
    field_overrides: Vec<FieldOverride>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Composite {
    collection_group: String,
    query_scope: QueryScope,
    fields: Vec<CompositeField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CompositeField {
    field_path: String,
    #[serde(flatten)]
    mode: Mode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FieldOverride {
    collection_group: String,
    field_path: String,
    indexes: Vec<SingleField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SingleField {
    query_scope: QueryScope,
    #[serde(flatten)]
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum QueryScope {
    Collection,
    CollectionGroup,
}

/// How an index holds a field.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Mode {
    #[serde(rename = "order")]
    Ordered(Direction),
    #[serde(rename = "arrayConfig")]
    Array(ArrayConfig),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Direction {
    Ascending,
    Descending,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ArrayConfig {
    Contains,
}

const ASCENDING: Mode = Mode::Ordered(Direction::Ascending);
const DESCENDING: Mode = Mode::Ordered(Direction::Descending);
const CONTAINS: Mode = Mode::Array(ArrayConfig::Contains);

/// An index as a list of what it holds, without the `__name__` that ends each of them.
type Index = Vec<(FieldPath, Mode)>;

/// What one AND of a query asks of the indexes.
struct Needs {
    /// Fields compared for equality, as ascending: their direction doesn't matter.
    equalities: Index,
    /// The order to read in, without a `__name__` that an index ends in anyway.
    order: Index,
}

impl Needs {
    fn of(query: &Query, conditions: &[&Condition]) -> Self {
        let equality = |condition: &Condition| match condition.op {
            Op::Equal | Op::In => Some((condition.path.clone(), ASCENDING)),
            Op::ArrayContains | Op::ArrayContainsAny => Some((condition.path.clone(), CONTAINS)),
            _ => None,
        };
        let named = conditions.iter().filter(|condition| condition.path != [NAME]);
        let equalities: Index = named.filter_map(|condition| equality(condition)).collect();
        // Where a field has one value, there is nothing to order by it.
        let ordered = query
            .orders
            .iter()
            .map(|order| (order.path.clone(), if order.descending { DESCENDING } else { ASCENDING }));
        let mut order: Index =
            ordered.filter(|(path, _)| !equalities.contains(&(path.clone(), ASCENDING))).collect();
        let implied = match order[..] {
            [.., (_, before), _] => before,
            _ => ASCENDING,
        };
        order.pop_if(|(path, direction)| path == &[NAME] && *direction == implied);
        Self { equalities, order }
    }

    fn fields(&self) -> BTreeSet<&FieldPath> {
        self.equalities.iter().chain(&self.order).map(|(path, _)| path).collect()
    }

    /// Whether the index ends in the order and has only equalities before it.
    fn can_use(&self, index: &Index) -> bool {
        index.strip_suffix(&self.order[..]).is_some_and(|equalities| {
            equalities.iter().all(|held| self.equalities.iter().any(|needed| serves(held, needed)))
        })
    }

    /// Whether these indexes, each of which can be used, suffice.
    fn met_by(&self, usable: &[Index]) -> bool {
        (self.order.is_empty() || !usable.is_empty())
            && self.equalities.iter().all(|needed| usable.iter().flatten().any(|held| serves(held, needed)))
    }
}

/// Whether what an index holds of a field serves an equality.
fn serves(held: &(FieldPath, Mode), needed: &(FieldPath, Mode)) -> bool {
    held.0 == needed.0 && (held.1 == CONTAINS) == (needed.1 == CONTAINS)
}

impl Indexes {
    /// The indexes of this repository.
    pub(super) fn deployed() -> Self {
        let json = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/firestore.indexes.json"));
        serde_json::from_str(json)
            .expect("deploy/firestore.indexes.json is in the format of the Firebase CLI")
    }

    /// Refuses a query that no index serves.
    pub(super) fn check(&self, query: &Query) -> Result<(), Status> {
        for conditions in query.alternatives() {
            let needs = Needs::of(query, &conditions);
            let mut indexes = self.of(query, &needs.fields());
            indexes.retain(|index| needs.can_use(index));
            if !needs.met_by(&indexes) {
                return Err(refusal(query, &needs.fields()));
            }
        }
        Ok(())
    }

    /// The composite indexes of the query's collection, and the single-field ones of these fields.
    fn of(&self, query: &Query, fields: &BTreeSet<&FieldPath>) -> Vec<Index> {
        let scope = if query.all_descendants { QueryScope::CollectionGroup } else { QueryScope::Collection };
        let composite = self
            .indexes
            .iter()
            .filter(|index| index.collection_group == query.collection && index.query_scope == scope)
            .map(|index| index.fields.iter().map(|field| (parsed(&field.field_path), field.mode)).collect());
        let single = fields.iter().flat_map(|&path| {
            self.modes(&query.collection, scope, path).into_iter().map(|mode| vec![(path.clone(), mode)])
        });
        composite.chain(single).collect()
    }

    /// How the field is indexed on its own: as the override of it or of the nearest map around it
    /// says, else every way in a collection and none across a collection group.
    fn modes(&self, collection: &str, scope: QueryScope, path: &FieldPath) -> Vec<Mode> {
        let nearest = self
            .field_overrides
            .iter()
            .filter(|field| field.collection_group == collection)
            .map(|field| (parsed(&field.field_path), &field.indexes))
            .filter(|(overridden, _)| path.starts_with(overridden))
            .max_by_key(|(overridden, _)| overridden.len());
        match nearest {
            Some((_, indexes)) => {
                indexes.iter().filter(|index| index.query_scope == scope).map(|index| index.mode).collect()
            }
            None if scope == QueryScope::Collection && path != &[NAME] => {
                vec![ASCENDING, DESCENDING, CONTAINS]
            }
            None => Vec::new(),
        }
    }
}

fn parsed(path: &str) -> FieldPath {
    field_path(path).expect("deploy/firestore.indexes.json has valid field paths")
}

/// Production's words, without the link it makes for the console.
fn refusal(query: &Query, fields: &BTreeSet<&FieldPath>) -> Status {
    let create = "You can create it here: https://console.firebase.google.com/";
    match fields.first() {
        Some(field) if fields.len() == 1 => Status::failed_precondition(format!(
            "The query requires an index for collection {} and field {}. {create}",
            query.collection,
            field.join("."),
        )),
        _ => Status::failed_precondition(format!("The query requires an index. {create}")),
    }
}
