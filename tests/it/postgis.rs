//! Wet-mill forms on a real PostGIS database, through the real router.

mod failures;
mod goldens;
mod inline;
mod migrations;
mod pooler;
pub(crate) mod rows;
mod starts;
mod visits;
