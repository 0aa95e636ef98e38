//! Which queries production would serve, given the indexes this repository deploys: the emulator serves
//! every query.
//!
//! An index is usable for a query when it ends in exactly the query's order and everything before
//! that is a field compared for equality; several usable indexes may be merged to cover all
//! equalities. Automatic single-field indexes are indexes of one field, unless an override takes
//! them away. Directions count: `(a ASC, b ASC)` and `(a ASC, b DESC)` are two indexes, and none is
//! read backwards. (The direction of a field compared for equality doesn't matter.) See "Index types in
//! Cloud Firestore", <https://firebase.google.com/docs/firestore/query-data/index-overview>.

use std::fmt;

use gcloud_sdk::google::firestore::v1::StructuredQuery;
use gcloud_sdk::google::firestore::v1::structured_query::filter::FilterType;
use gcloud_sdk::google::firestore::v1::structured_query::unary_filter::OperandType;
use gcloud_sdk::google::firestore::v1::structured_query::{
    Direction as Ordered, Filter, composite_filter, field_filter, unary_filter,
};
use serde::Deserialize;

/// The name under which a query speaks of a document's own name.
pub(super) const NAME: &str = "__name__";

/// What a condition asks of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Equality,
    Contains,
    Range,
}

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
    query_scope: Scope,
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
    query_scope: Scope,
    #[serde(flatten)]
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Scope {
    Collection,
    CollectionGroup,
}

/// How an index holds a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Mode {
    #[serde(rename = "order")]
    Ordered(Direction),
    #[serde(rename = "arrayConfig")]
    Array(ArrayConfig),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Direction {
    Ascending,
    Descending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ArrayConfig {
    Contains,
}

const ASCENDING: Mode = Mode::Ordered(Direction::Ascending);
const DESCENDING: Mode = Mode::Ordered(Direction::Descending);
const CONTAINS: Mode = Mode::Array(ArrayConfig::Contains);

/// An index as a list of what it holds, without the `__name__` that ends each of them.
type Index<'a> = Vec<(&'a str, Mode)>;

/// The conditions of a filter, written as an OR of ANDs: an index has to serve each of the ANDs. `None`
/// where the filter makes no sense.
pub(super) fn alternatives(filter: Option<&Filter>) -> Option<Vec<Vec<(&str, Use)>>> {
    let (field, by) = match filter.and_then(|filter| filter.filter_type.as_ref()) {
        None => return Some(vec![Vec::new()]),
        Some(FilterType::CompositeFilter(filter)) => {
            let parts: Option<Vec<_>> = filter.filters.iter().map(|part| alternatives(Some(part))).collect();
            return match filter.op() {
                composite_filter::Operator::Or => parts.map(|parts| parts.concat()),
                composite_filter::Operator::And => {
                    parts?.into_iter().reduce(|left, right| each_with_each(&left, &right))
                }
                composite_filter::Operator::Unspecified => None,
            };
        }
        Some(FilterType::FieldFilter(filter)) => {
            use field_filter::Operator as Op;
            let by = match filter.op() {
                Op::Equal | Op::In => Use::Equality,
                Op::ArrayContains | Op::ArrayContainsAny => Use::Contains,
                Op::Unspecified => return None,
                _ => Use::Range,
            };
            (filter.field.as_ref()?, by)
        }
        Some(FilterType::UnaryFilter(filter)) => {
            use unary_filter::Operator as Op;
            let OperandType::Field(field) = filter.operand_type.as_ref()?;
            let by = match filter.op() {
                Op::IsNull | Op::IsNan => Use::Equality,
                Op::IsNotNull | Op::IsNotNan => Use::Range,
                Op::Unspecified => return None,
            };
            (field, by)
        }
    };
    Some(vec![vec![(field.field_path.as_str(), by)]])
}

fn each_with_each<T: Clone>(left: &[Vec<T>], right: &[Vec<T>]) -> Vec<Vec<T>> {
    left.iter().flat_map(|left| right.iter().map(|right| [&left[..], right].concat())).collect()
}

/// What one AND of a query asks of the indexes.
struct Needs<'a> {
    /// Fields compared for equality, as ascending: their direction doesn't matter.
    equalities: Index<'a>,
    /// The order to read in, without a `__name__` that an index ends in anyway.
    order: Index<'a>,
}

impl<'a> Needs<'a> {
    fn of(query: &'a StructuredQuery, conditions: &[(&'a str, Use)]) -> Self {
        let of = |wanted: Use, mode| {
            let fields = conditions.iter().filter(move |(field, by)| *by == wanted && *field != NAME);
            fields.map(move |(field, _)| (*field, mode))
        };
        let equalities: Index = of(Use::Equality, ASCENDING).chain(of(Use::Contains, CONTAINS)).collect();
        let asked = query.order_by.iter().filter_map(|order| {
            let mode = if order.direction() == Ordered::Descending { DESCENDING } else { ASCENDING };
            Some((order.field.as_ref()?.field_path.as_str(), mode))
        });
        let mut order: Index = asked.collect();
        // The fields of inequalities follow by name, then the document's name, all in the last direction.
        let last = order.last().map_or(ASCENDING, |(_, mode)| *mode);
        let mut implied: Vec<&str> = of(Use::Range, last).map(|(field, _)| field).collect();
        implied.sort_unstable();
        for field in implied.into_iter().chain([NAME]) {
            if order.iter().all(|(ordered, _)| *ordered != field) {
                order.push((field, last));
            }
        }
        // Where a field has one value, there is nothing to order by it.
        order.retain(|(field, _)| !equalities.contains(&(field, ASCENDING)));
        let implied = match order[..] {
            [.., (_, before), _] => before,
            _ => ASCENDING,
        };
        order.pop_if(|last| *last == (NAME, implied));
        Self { equalities, order }
    }

    fn fields(&self) -> Vec<&'a str> {
        self.equalities.iter().chain(&self.order).map(|(field, _)| *field).collect()
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

impl fmt::Display for Needs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { equalities, order } = self;
        write!(f, "equalities {equalities:?}, order {order:?}")
    }
}

/// Whether what an index holds of a field serves an equality.
fn serves(held: &(&str, Mode), needed: &(&str, Mode)) -> bool {
    held.0 == needed.0 && (held.1 == CONTAINS) == (needed.1 == CONTAINS)
}

impl Indexes {
    /// The indexes of this repository.
    pub(super) fn deployed() -> Self {
        let json = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/firestore.indexes.json"));
        serde_json::from_str(json)
            .expect("deploy/firestore.indexes.json is in the format of the Firebase CLI")
    }

    /// Refuses a query that no index serves, in production's words without the link to the console.
    pub(super) fn check(&self, query: &StructuredQuery) -> Result<(), String> {
        let [from] = &query.from[..] else { return Err("a query is from one collection".to_owned()) };
        let scope = if from.all_descendants { Scope::CollectionGroup } else { Scope::Collection };
        let alternatives = alternatives(query.r#where.as_ref()).ok_or("a filter has no operator")?;
        for conditions in alternatives {
            let needs = Needs::of(query, &conditions);
            let mut indexes = self.of(&from.collection_id, scope, &needs.fields());
            indexes.retain(|index| needs.can_use(index));
            if !needs.met_by(&indexes) {
                let collection = &from.collection_id;
                return Err(format!("The query requires an index for collection {collection} and {needs}."));
            }
        }
        Ok(())
    }

    /// The composite indexes of the collection, and the single-field ones of these fields.
    fn of<'a>(&'a self, collection: &str, scope: Scope, fields: &[&'a str]) -> Vec<Index<'a>> {
        let composite = self
            .indexes
            .iter()
            .filter(|index| index.collection_group == collection && index.query_scope == scope)
            .map(|index| index.fields.iter().map(|field| (field.field_path.as_str(), field.mode)).collect());
        let single = fields.iter().flat_map(|field| {
            self.modes(collection, scope, field).into_iter().map(|mode| vec![(*field, mode)])
        });
        composite.chain(single).collect()
    }

    /// How the field is indexed on its own: as the override of it or of the nearest map around it
    /// says, else every way in a collection and none across a collection group.
    fn modes(&self, collection: &str, scope: Scope, field: &str) -> Vec<Mode> {
        let within =
            |map: &str| field.strip_prefix(map).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let nearest = self
            .field_overrides
            .iter()
            .filter(|field| field.collection_group == collection && within(&field.field_path))
            .max_by_key(|field| field.field_path.len());
        match nearest {
            Some(field) => field
                .indexes
                .iter()
                .filter(|index| index.query_scope == scope)
                .map(|index| index.mode)
                .collect(),
            None if scope == Scope::Collection && field != NAME => vec![ASCENDING, DESCENDING, CONTAINS],
            None => Vec::new(),
        }
    }
}
