//! Queries: what a `StructuredQuery` means, and which documents it finds.

use std::cmp::Ordering;

use gcloud_sdk::google::firestore::v1::structured_query::{self, Direction};
use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::{Cursor, StructuredQuery, Value};
use tonic::Status;

use super::filter::{self, Condition, Filter, check_reference, filtered_path};
use super::path::{FieldPath, Key, check_id, field_path, name_of};
use super::store::{Database, Micros, Stored};
use super::value::{Fields, compare, get, project, value};

/// The name under which a query speaks of a document's own name.
pub(super) const NAME: &str = "__name__";

/// One field of an order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) path: FieldPath,
    pub(super) descending: bool,
}

/// A query that makes sense.
#[derive(Debug, Clone)]
pub(super) struct Query {
    parent: Key,
    pub(super) collection: String,
    pub(super) all_descendants: bool,
    filter: Filter,
    /// The order asked for and the order implied, down to `__name__`.
    pub(super) orders: Vec<Order>,
    start: Option<Cursor>,
    end: Option<Cursor>,
    offset: usize,
    limit: usize,
    select: Option<Vec<FieldPath>>,
}

/// What a query found: the documents, and how many it passed over for its offset.
pub(super) struct Found<'a> {
    pub(super) documents: Vec<(&'a Key, &'a Stored)>,
    pub(super) skipped: usize,
}

impl Query {
    /// Every document of a collection, by name.
    pub(super) fn all(parent: Key, collection: &str) -> Result<Self, Status> {
        Self::parse(
            parent,
            StructuredQuery {
                from: vec![structured_query::CollectionSelector {
                    collection_id: collection.to_owned(),
                    all_descendants: false,
                }],
                ..StructuredQuery::default()
            },
        )
    }

    /// Makes sense of a query, or refuses it.
    pub(super) fn parse(parent: Key, query: StructuredQuery) -> Result<Self, Status> {
        if query.find_nearest.is_some() {
            return Err(Status::unimplemented("the stand-in doesn't do vector search"));
        }
        let [from] = &query.from[..] else {
            return Err(Status::invalid_argument("a query has to be from exactly one collection"));
        };
        check_id(&from.collection_id)?;
        let filter = filter::parse(query.r#where)?;
        let orders = orders(&query.order_by, &filter)?;
        for cursor in query.start_at.iter().chain(&query.end_at) {
            check_cursor(cursor, &orders)?;
        }
        let select = query.select.map(|select| {
            let paths = select.fields.iter().map(|field| field_path(&field.field_path));
            paths.collect::<Result<Vec<_>, _>>()
        });
        let not_negative = |what: &str, number: i32| {
            usize::try_from(number)
                .map_err(|_| Status::invalid_argument(format!("{what} is negative: {number}")))
        };
        Ok(Self {
            parent,
            collection: from.collection_id.clone(),
            all_descendants: from.all_descendants,
            filter,
            orders,
            start: query.start_at,
            end: query.end_at,
            offset: not_negative("offset", query.offset)?,
            limit: query.limit.map_or(Ok(usize::MAX), |limit| not_negative("limit", limit))?,
            select: select.transpose()?,
        })
    }

    /// The conditions, written as an OR of ANDs: an index has to serve each of the ANDs.
    pub(super) fn alternatives(&self) -> Vec<Vec<&Condition>> {
        self.filter.alternatives()
    }

    /// Runs the query on the documents of that time.
    pub(super) fn run<'a>(&self, database: &'a Database, time: Micros) -> Found<'a> {
        let mut rows: Vec<(Vec<Value>, &Key, &Stored)> = database
            .snapshot(time)
            .filter(|(key, _)| self.covers(key))
            .filter(|(key, stored)| {
                self.filter.matches(&|path| field(database.name(), key, &stored.fields, path))
            })
            .filter_map(|(key, stored)| {
                let sorted_by =
                    self.orders.iter().map(|order| field(database.name(), key, &stored.fields, &order.path));
                Some((sorted_by.collect::<Option<Vec<_>>>()?, key, stored))
            })
            .filter(|(values, ..)| self.within_cursors(values))
            .collect();
        rows.sort_by(|(a, ..), (b, ..)| self.compare_rows(a, b));
        let skipped = rows.len().min(self.offset);
        let documents = rows
            .into_iter()
            .skip(self.offset)
            .take(self.limit)
            .map(|(_, key, stored)| (key, stored))
            .collect();
        Found { documents, skipped }
    }

    /// What a transaction remembers of a query's result.
    pub(super) fn versions<'a>(&self, database: &'a Database, time: Micros) -> Vec<(&'a Key, Micros)> {
        let found = self.run(database, time).documents;
        found.into_iter().map(|(key, stored)| (key, stored.update_time)).collect()
    }

    /// The fields of a result that were asked for.
    pub(super) fn selected(&self, fields: &Fields) -> Fields {
        self.select.as_ref().map_or_else(|| fields.clone(), |mask| project(fields, mask))
    }

    fn covers(&self, key: &Key) -> bool {
        key.starts_with(&self.parent)
            && key.len() > self.parent.len()
            && (self.all_descendants || key.len() == self.parent.len() + 2)
            && key[key.len() - 2] == self.collection
    }

    fn within_cursors(&self, values: &[Value]) -> bool {
        let after_start = self.start.as_ref().is_none_or(|cursor| {
            let position = self.compare_rows(values, &cursor.values);
            position.is_gt() || (cursor.before && position.is_eq())
        });
        let before_end = self.end.as_ref().is_none_or(|cursor| {
            let position = self.compare_rows(values, &cursor.values);
            position.is_lt() || (!cursor.before && position.is_eq())
        });
        after_start && before_end
    }

    /// Compares as far as both go, which for a cursor may be less than the whole order.
    fn compare_rows(&self, a: &[Value], b: &[Value]) -> Ordering {
        self.orders
            .iter()
            .zip(a.iter().zip(b))
            .map(|(order, (a, b))| {
                let ascending = compare(a, b);
                if order.descending { ascending.reverse() } else { ascending }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// A document's value at a path; its name counts as a field.
fn field(database: &str, key: &Key, fields: &Fields, path: &[String]) -> Option<Value> {
    if path == [NAME] {
        return Some(value(ValueType::ReferenceValue(name_of(database, key))));
    }
    get(fields, path).cloned()
}

/// The order asked for, then the fields of inequalities by name, then `__name__`, each of the
/// implied ones in the direction of the last one asked for.
fn orders(asked: &[structured_query::Order], filter: &Filter) -> Result<Vec<Order>, Status> {
    let mut orders = Vec::new();
    for order in asked {
        let path = filtered_path(order.field.clone())?;
        if orders.iter().any(|order: &Order| order.path == path) {
            return Err(Status::invalid_argument(format!("order by {} twice", path.join("."))));
        }
        orders.push(Order { path, descending: order.direction() == Direction::Descending });
    }
    let descending = orders.last().is_some_and(|order| order.descending);
    let mut implied: Vec<FieldPath> = filter
        .alternatives()
        .concat()
        .into_iter()
        .filter(|condition| condition.op.is_inequality())
        .map(|condition| condition.path.clone())
        .collect();
    implied.sort();
    // After the others, wherever its underscores would sort.
    implied.retain(|path| path != &[NAME]);
    implied.push(vec![NAME.to_owned()]);
    for path in implied {
        if !orders.iter().any(|order| order.path == path) {
            orders.push(Order { path, descending });
        }
    }
    Ok(orders)
}

fn check_cursor(cursor: &Cursor, orders: &[Order]) -> Result<(), Status> {
    if cursor.values.is_empty() || cursor.values.len() > orders.len() {
        return Err(Status::invalid_argument("a cursor has none or too many values for the query's order"));
    }
    cursor
        .values
        .iter()
        .zip(orders)
        .filter(|(_, order)| order.path == [NAME])
        .try_for_each(|(value, _)| check_reference(value))
}
