//! What Firestore bills: document reads and writes, by its price list
//! (<https://firebase.google.com/docs/firestore/pricing>).
//!
//! * "Minimum charge for queries": one read, even if nothing is found. A look-up of one document is
//!   billed like a query of one.
//! * "Index entry reads": one more read for each thousand index entries, where a query has two range
//!   fields. `__name__` is one wherever it is spoken of; an ordered field is one beside another.
//! * "Aggregation queries": one read for each thousand index entries, at least one.
//! * Each document set or updated is one write. What is refused is not billed here: the list does not
//!   speak of it.

use std::collections::BTreeSet;
use std::ops::{AddAssign, Sub};

use gcloud_sdk::google::firestore::v1::value::ValueType;
use gcloud_sdk::google::firestore::v1::{
    BatchGetDocumentsResponse, CommitResponse, RunAggregationQueryResponse, RunQueryResponse, StructuredQuery,
};
use tonic::{Code, Status};

use super::index::{NAME, Use, alternatives};
use super::proxy::decode;

/// Index entries that are one read.
const ENTRIES: usize = 1_000;

/// Document reads and writes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bill {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}

impl Bill {
    /// What a request costs that was answered so; `query` is the query that it makes.
    pub(super) fn of(
        method: &str,
        code: Code,
        query: Option<&StructuredQuery>,
        answer: &[u8],
    ) -> Result<Self, Status> {
        let reads = |reads| Self { reads, writes: 0 };
        Ok(match (method, query) {
            ("GetDocument", _) if matches!(code, Code::Ok | Code::NotFound) => reads(1),
            _ if code != Code::Ok => Self::default(),
            ("BatchGetDocuments", _) => reads(decode::<BatchGetDocumentsResponse>(answer)?.len()),
            ("RunQuery", Some(query)) => {
                let found = decode::<RunQueryResponse>(answer)?;
                let documents = found.iter().filter(|answer| answer.document.is_some()).count();
                let entries = if range_fields(query) > 1 { documents.div_ceil(ENTRIES) } else { 0 };
                reads((documents + entries).max(1))
            }
            ("RunAggregationQuery", _) => {
                let counted = decode::<RunAggregationQueryResponse>(answer)?;
                let fields = counted.iter().filter_map(|answer| answer.result.as_ref());
                let numbers = fields.flat_map(|result| result.aggregate_fields.values());
                let counts = numbers.filter_map(|value| match value.value_type {
                    Some(ValueType::IntegerValue(count)) => usize::try_from(count).ok(),
                    _ => None,
                });
                reads(counts.max().unwrap_or_default().div_ceil(ENTRIES).max(1))
            }
            ("CreateDocument" | "UpdateDocument", _) => Self { reads: 0, writes: 1 },
            ("Commit", _) => {
                let committed = decode::<CommitResponse>(answer)?;
                Self { reads: 0, writes: committed.iter().map(|answer| answer.write_results.len()).sum() }
            }
            _ => return Err(Status::unimplemented(format!("the proxy has no price for {method}"))),
        })
    }
}

fn range_fields(query: &StructuredQuery) -> usize {
    let conditions = alternatives(query.r#where.as_ref()).unwrap_or_default().concat();
    let ordered: Vec<&str> =
        query.order_by.iter().filter_map(|order| Some(order.field.as_ref()?.field_path.as_str())).collect();
    let mut ranges: BTreeSet<&str> = conditions
        .iter()
        .filter(|(field, by)| *by == Use::Range || *field == NAME)
        .map(|(field, _)| *field)
        .chain(ordered.iter().copied().filter(|field| *field == NAME))
        .collect();
    if !ranges.is_empty() {
        ranges.extend(ordered);
    }
    ranges.len()
}

impl AddAssign for Bill {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
    }
}

impl Sub for Bill {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { reads: self.reads - other.reads, writes: self.writes - other.writes }
    }
}
