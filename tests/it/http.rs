//! The HTTP API over the real router: every call that this version answers (`docs/service.md`,
//! section 2), with its exact texts.

mod archived;
mod bad_bodies;
mod browsers;
mod connections;
mod credential_tests;
mod drains;
mod encodings;
mod failed_lists;
mod firestore {
    mod leases;
    mod outages;
}
mod ids;
mod operators;
mod parameters;
mod previews;
mod repairs;
mod retries;
mod routes;
mod sizes;
mod slow_bodies;
mod status;
mod unmapped;
mod unread_bodies;
mod webhooks;
