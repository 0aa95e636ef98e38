//! Filters: what a query's `where` means, and which values hold to it.

use gcloud_sdk::google::firestore::v1::Value;
use gcloud_sdk::google::firestore::v1::structured_query::filter::FilterType;
use gcloud_sdk::google::firestore::v1::structured_query::{
    self, CompositeFilter, FieldFilter, FieldReference, UnaryFilter, composite_filter, field_filter,
    unary_filter,
};
use gcloud_sdk::google::firestore::v1::value::ValueType;
use tonic::Status;

use super::path::{self, FieldPath, field_path};
use super::query::NAME;
use super::value::{compare, same_type, value};

/// Firestore's limit on the alternatives of a query, once written as an OR of ANDs.
const MAX_DISJUNCTIONS: usize = 30;

/// What a condition says about a value; `IS_NULL` and the like are comparisons with null and NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    In,
    ArrayContains,
    ArrayContainsAny,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    /// Whether it compares with each of several values.
    fn takes_many(self) -> bool {
        matches!(self, Self::In | Self::ArrayContainsAny)
    }

    pub(super) fn is_inequality(self) -> bool {
        !matches!(self, Self::Equal | Self::In | Self::ArrayContains | Self::ArrayContainsAny)
    }
}

/// A condition on one field.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) path: FieldPath,
    pub(super) op: Op,
    value: Value,
}

/// Conditions, combined.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    One(Condition),
}

impl Filter {
    /// Whether a document with that value at a path is among what the query is about.
    pub(super) fn matches(&self, field: &dyn Fn(&[String]) -> Option<Value>) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(field)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(field)),
            Self::One(condition) => field(&condition.path).is_some_and(|value| condition.holds(&value)),
        }
    }

    fn disjunctions(&self) -> usize {
        match self {
            Self::All(filters) => {
                filters.iter().fold(1, |product, filter| product.saturating_mul(filter.disjunctions()))
            }
            Self::Any(filters) => filters.iter().map(Self::disjunctions).sum(),
            Self::One(condition) if condition.op.takes_many() => elements(&condition.value).len(),
            Self::One(_) => 1,
        }
    }

    /// The conditions, written as an OR of ANDs: an index has to serve each of the ANDs.
    pub(super) fn alternatives(&self) -> Vec<Vec<&Condition>> {
        match self {
            Self::All(filters) => filters.iter().fold(vec![Vec::new()], |sofar, filter| {
                let next = filter.alternatives();
                sofar.iter().flat_map(|left| next.iter().map(|right| [&left[..], right].concat())).collect()
            }),
            Self::Any(filters) => filters.iter().flat_map(Self::alternatives).collect(),
            Self::One(condition) => vec![vec![condition]],
        }
    }
}

impl Condition {
    /// An inequality holds only between values of one type; `!=` holds for every other value but
    /// null.
    fn holds(&self, found: &Value) -> bool {
        let order = compare(found, &self.value);
        match self.op {
            Op::Equal => order.is_eq(),
            Op::In => elements(&self.value).iter().any(|one| compare(found, one).is_eq()),
            Op::ArrayContains => elements(found).iter().any(|one| compare(one, &self.value).is_eq()),
            Op::ArrayContainsAny => {
                let wanted = elements(&self.value);
                elements(found).iter().any(|one| wanted.iter().any(|value| compare(one, value).is_eq()))
            }
            Op::NotEqual => order.is_ne() && !matches!(found.value_type, Some(ValueType::NullValue(_))),
            Op::Less => same_type(found, &self.value) && order.is_lt(),
            Op::LessOrEqual => same_type(found, &self.value) && order.is_le(),
            Op::Greater => same_type(found, &self.value) && order.is_gt(),
            Op::GreaterOrEqual => same_type(found, &self.value) && order.is_ge(),
        }
    }
}

fn elements(value: &Value) -> &[Value] {
    match &value.value_type {
        Some(ValueType::ArrayValue(array)) => &array.values,
        _ => &[],
    }
}

/// Makes sense of a query's `where`, or refuses it.
pub(super) fn parse(filter: Option<structured_query::Filter>) -> Result<Filter, Status> {
    let filter = filter.map_or(Ok(Filter::All(Vec::new())), parse_filter)?;
    if filter.disjunctions() > MAX_DISJUNCTIONS {
        return Err(Status::invalid_argument(format!(
            "The query has more than {MAX_DISJUNCTIONS} disjunctions."
        )));
    }
    Ok(filter)
}

fn parse_filter(filter: structured_query::Filter) -> Result<Filter, Status> {
    match filter.filter_type {
        Some(FilterType::CompositeFilter(filter)) => parse_composite(filter),
        Some(FilterType::FieldFilter(filter)) => parse_condition(filter).map(Filter::One),
        Some(FilterType::UnaryFilter(filter)) => parse_unary(filter).map(Filter::One),
        None => Err(Status::invalid_argument("a filter has no type")),
    }
}

fn parse_composite(filter: CompositeFilter) -> Result<Filter, Status> {
    let (op, filters) = (filter.op(), filter.filters);
    if filters.is_empty() {
        return Err(Status::invalid_argument("a composite filter has no filters"));
    }
    let filters = filters.into_iter().map(parse_filter).collect::<Result<_, _>>()?;
    match op {
        composite_filter::Operator::And => Ok(Filter::All(filters)),
        composite_filter::Operator::Or => Ok(Filter::Any(filters)),
        composite_filter::Operator::Unspecified => {
            Err(Status::invalid_argument("a composite filter has no operator"))
        }
    }
}

fn parse_condition(filter: FieldFilter) -> Result<Condition, Status> {
    use field_filter::Operator;
    let op = match filter.op() {
        Operator::Equal => Op::Equal,
        Operator::NotEqual => Op::NotEqual,
        Operator::LessThan => Op::Less,
        Operator::LessThanOrEqual => Op::LessOrEqual,
        Operator::GreaterThan => Op::Greater,
        Operator::GreaterThanOrEqual => Op::GreaterOrEqual,
        Operator::In => Op::In,
        Operator::ArrayContains => Op::ArrayContains,
        Operator::ArrayContainsAny => Op::ArrayContainsAny,
        Operator::NotIn => return Err(Status::unimplemented("the stand-in has no NOT_IN")),
        Operator::Unspecified => return Err(Status::invalid_argument("a field filter has no operator")),
    };
    let path = filtered_path(filter.field)?;
    let value = filter.value.filter(|value| value.value_type.is_some());
    let value = value.ok_or_else(|| Status::invalid_argument("a field filter has no value"))?;
    let alternatives = elements(&value).len();
    if op.takes_many() && !(1..=MAX_DISJUNCTIONS).contains(&alternatives) {
        return Err(Status::invalid_argument(format!(
            "'IN' and 'ARRAY_CONTAINS_ANY' take an array of 1 to {MAX_DISJUNCTIONS} values."
        )));
    }
    for one in if op.takes_many() { elements(&value) } else { std::slice::from_ref(&value) } {
        if path == [NAME] {
            check_reference(one)?;
        }
    }
    Ok(Condition { path, op, value })
}

fn parse_unary(filter: UnaryFilter) -> Result<Condition, Status> {
    use unary_filter::Operator;
    let null = value(ValueType::NullValue(0));
    let nan = value(ValueType::DoubleValue(f64::NAN));
    let (op, value) = match filter.op() {
        Operator::IsNull => (Op::Equal, null),
        Operator::IsNotNull => (Op::NotEqual, null),
        Operator::IsNan => (Op::Equal, nan),
        Operator::IsNotNan => (Op::NotEqual, nan),
        Operator::Unspecified => return Err(Status::invalid_argument("a unary filter has no operator")),
    };
    let unary_filter::OperandType::Field(field) =
        filter.operand_type.ok_or_else(|| Status::invalid_argument("a unary filter has no field"))?;
    Ok(Condition { path: filtered_path(Some(field))?, op, value })
}

/// The path of a field that a filter or an order is on.
pub(super) fn filtered_path(field: Option<FieldReference>) -> Result<FieldPath, Status> {
    field_path(&field.unwrap_or_default().field_path)
}

/// Refuses to compare a name with anything but the name of a document.
pub(super) fn check_reference(value: &Value) -> Result<(), Status> {
    match &value.value_type {
        Some(ValueType::ReferenceValue(name)) => path::document(name).map(|_| ()),
        _ => Err(Status::invalid_argument(format!("{NAME} is compared with a reference only"))),
    }
}
